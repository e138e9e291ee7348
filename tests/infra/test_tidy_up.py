"""What tidies up after a run that was ended from outside: when it begins, how often it tries, what it may do."""

from __future__ import annotations

import contract
from tests.infra.template import ACCOUNT, REGION, Template, listed

SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"


def test_it_begins_with_every_end_of_a_run_that_is_no_success(template: Template) -> None:
    assert template.value(template.only("AWS::Events::Rule")["EventPattern"]) == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "stateMachineArn": [f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:whippet-dev"],
            "status": ["ABORTED", "FAILED", "TIMED_OUT"],
        },
    }


def test_it_is_tried_three_times_and_then_told(template: Template) -> None:
    attempts = template.only("AWS::Lambda::EventInvokeConfig")
    assert attempts["MaximumRetryAttempts"] == 2
    topic = next(iter(template.of_type("AWS::SNS::Topic")))
    assert attempts["DestinationConfig"] == {"OnFailure": {"Destination": {"Ref": topic}}}
    assert template.function("tidy_up")["Timeout"] == 900
    assert contract.TIDYING.total_seconds() > 3 * 900 + 3 * 60, "nobody takes the release lock over meanwhile"


def test_it_may_change_what_runs_of_this_environment_made_and_nothing_else(template: Template) -> None:
    found: dict[str, set[str]] = {}
    for name, statement in template.statements():
        if name.startswith("TidyUp"):
            for action in listed(statement["Action"]):
                found.setdefault(action, set()).update(listed(statement["Resource"]))
    assert found["states:GetExecutionHistory"] == {f"arn:aws:states:{REGION}:{ACCOUNT}:execution:whippet-dev:*"}
    assert found["sagemaker:StopTrainingJob"] >= {f"{SAGEMAKER}:training-job/whippet-dev-*"}
    assert found["sagemaker:DeleteEndpoint"] == {f"{SAGEMAKER}:endpoint/whippet-dev"}
    assert found["sagemaker:UpdateEndpoint"] == {
        f"{SAGEMAKER}:endpoint/whippet-dev",
        f"{SAGEMAKER}:endpoint-config/whippet-dev-*",
    }
    assert found["s3:PutObject"] == {
        "arn:aws:s3:::data-bucket/runs/*/tidied.json",
        "arn:aws:s3:::data-bucket/releases/*",
    }
    assert {action for action, resources in found.items() if "*" in resources} == {
        "sagemaker:ListTrainingJobs",
        "sagemaker:ListHyperParameterTuningJobs",
        "sagemaker:ListProcessingJobs",
        "sagemaker:ListModelPackages",
    }


def test_the_lock_is_written_by_runs_and_by_the_tidy_up_alone(template: Template) -> None:
    key = f"arn:aws:s3:::data-bucket/{contract.release_lock_key('whippet-dev')}"
    writers = {
        name[:20]
        for name, statement in template.statements()
        for resource in listed(statement["Resource"])
        if "s3:PutObject" in listed(statement["Action"])
        and (resource == key or resource.endswith(("/releases/*", "data-bucket/*")))
    }
    assert writers == {"FunctionsReleaseLock", "FunctionsRecordRelea", "TidyUpFunctionPolicy"}
