"""SageMaker Debugger within the cloud: accounts with and without access, and the program that stands for its rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local import control
from tests.local.cloud.conftest import allow, training_job, until

if TYPE_CHECKING:
    from tests.local.cloud.conftest import Account

RULES_IMAGE = "503895931360.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest"


def rule(name: str, **parameters: str) -> dict[str, Any]:
    return {
        "RuleConfigurationName": name,
        "RuleEvaluatorImage": RULES_IMAGE,
        "RuleParameters": {"rule_to_invoke": name, **parameters},
    }


def debugged(job: dict[str, Any], bucket: str) -> dict[str, Any]:
    return {
        **job,
        "HyperParameters": {"mode": "finetune"},
        "DebugHookConfig": {"S3OutputPath": f"s3://{bucket}/debug/", "LocalPath": "/opt/ml/output/tensors"},
        "DebugRuleConfigurations": [
            rule("Overfit", status="IssuesFound"),
            rule("AllZero"),
            rule("DeadRelu", status="NotApplicable"),
        ],
        "ProfilerConfig": {"S3OutputPath": f"s3://{bucket}/debug/"},
        "ProfilerRuleConfigurations": [rule("ProfilerReport")],
    }


def test_without_access_the_refusal_can_be_told_from_a_failed_job(
    account: Account, job: dict[str, Any], front_door: dict[str, str], name: str
) -> None:
    role = account.role(name, "states.amazonaws.com", allow(["sagemaker:*", "iam:PassRole"], "*"))
    resource = "arn:aws:states:::sagemaker:createTrainingJob.sync"
    parameters = debugged(job, front_door["Bucket"])
    caught = [{"ErrorEquals": ["SageMaker.AmazonSageMakerException"], "Next": "Own", "ResultPath": "$.error"}]
    states = {
        "Train": {"Type": "Task", "Resource": resource, "Parameters": parameters, "Catch": caught, "End": True},
        "Own": {"Type": "Succeed"},
    }
    ended = account.run(name, role, states)
    assert ended["status"] == "SUCCEEDED", ended
    cause = json.loads(ended["output"])["error"]["Cause"]
    assert "no longer available to new customers" in cause
    assert "Error Code: AccessDeniedException" in cause


def test_with_access_rules_are_evaluated_after_the_job(debugger_account: Account, name: str) -> None:
    account = debugger_account
    role = account.role(name, "sagemaker.amazonaws.com", allow(["s3:*", "logs:*", "ecr:*"], "*"))
    bucket = f"{name}-bucket"
    account.client("s3").create_bucket(Bucket=bucket)
    sagemaker = account.client("sagemaker")
    sagemaker.create_training_job(**debugged(training_job(name, role=role, bucket=bucket), bucket))
    members = ("DebugRuleEvaluationStatuses", "ProfilerRuleEvaluationStatuses")
    seen = until(
        lambda: sagemaker.describe_training_job(TrainingJobName=name),
        lambda job: all(rule["RuleEvaluationStatus"] != "InProgress" for member in members for rule in job[member]),
    )
    assert seen["TrainingJobStatus"] == "Completed", seen
    found = {
        rule["RuleConfigurationName"]: (rule["RuleEvaluationStatus"], rule["StatusDetails"])
        for member in members
        for rule in seen[member]
    }
    detail = "finetune ['loss', 'training_job_end.ts'] True"
    assert found == {
        "Overfit": (
            "IssuesFound",
            "RuleEvaluationConditionMet: Evaluation of the rule Overfit at step 7 resulted in the condition being met. "
            + detail,
        ),
        "AllZero": ("NoIssuesFound", detail),
        "DeadRelu": ("Error", f"NotApplicable: {detail}"),
        "ProfilerReport": ("NoIssuesFound", detail),
    }


def test_the_jobs_role_must_be_allowed_to_pull_the_image_of_the_rules(debugger_account: Account, name: str) -> None:
    account = debugger_account
    repository = "arn:aws:ecr:us-east-1:503895931360:repository/pytorch-training"
    role = account.role(
        name,
        "sagemaker.amazonaws.com",
        allow(["s3:*", "logs:*", "ecr:GetAuthorizationToken"], "*"),
        allow(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], repository),
    )
    bucket = f"{name}-bucket"
    account.client("s3").create_bucket(Bucket=bucket)
    sagemaker = account.client("sagemaker")
    sagemaker.create_training_job(**debugged(training_job(name, role=role, bucket=bucket), bucket))
    seen = until(
        lambda: sagemaker.describe_training_job(TrainingJobName=name),
        lambda job: all(rule["RuleEvaluationStatus"] != "InProgress" for rule in job["DebugRuleEvaluationStatuses"]),
    )
    found = {rule["RuleEvaluationStatus"]: rule["StatusDetails"] for rule in seen["DebugRuleEvaluationStatuses"]}
    assert set(found) == {"Error"}
    assert "is not authorized to perform: ecr:BatchGetImage" in found["Error"]
    assert "repository/sagemaker-debugger-rules" in found["Error"]


def test_a_running_cloud_cannot_become_one_with_access(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIPPET_DEBUGGER_ACCESS", "true")
    with pytest.raises(control.CloudError, match="was started with false; stop it first"):
        control.start(account.cloud.state)
    monkeypatch.setenv("WHIPPET_DEBUGGER_ACCESS", "false")
    assert control.start(account.cloud.state) == account.cloud


def test_a_misspelt_access_is_refused_at_the_start(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIPPET_DEBUGGER_ACCESS", "yes")
    with pytest.raises(control.CloudError, match="expected one of false, true, unevaluated, error"):
        control.start(tmp_path / "cloud")
