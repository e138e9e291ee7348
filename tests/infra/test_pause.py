"""What the template holds with `serving.pause_after_hours`, and without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import contract
from infra.outputs import StackOutput
from tests.infra.app_process import EVERY_FUNCTION
from tests.infra.template import ACCOUNT, REGION, Template, listed

ENDPOINT = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/whippet-dev"
RECORD = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/whippet-dev/sleeping-model"
SCALING = [
    f"application-autoscaling:{call}"
    for call in ("RegisterScalableTarget", "PutScalingPolicy", "DeregisterScalableTarget")
]
ALARMS = ["cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms"]
ALARM_NAMES = "TargetTracking-endpoint/whippet-dev/variant/AllTraffic-*"
LINKED_ROLE = (
    "aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
WAKING = {"sagemaker:CreateEndpoint", "sagemaker:AddTags", "ssm:GetParameter"}


@pytest.fixture(scope="module")
def paused(synthesise: Callable[..., Template]) -> Template:
    return synthesise(**EVERY_FUNCTION)


def allowed(template: Template, policy: str) -> dict[str, set[str]]:
    """The resources of each action that the policies whose logical id begins so allow."""
    found: dict[str, set[str]] = {}
    for name, statement in template.statements():
        if name.startswith(policy):
            for action in listed(statement["Action"]):
                found.setdefault(action, set()).update(listed(statement["Resource"]))
    return found


def schedules(template: Template) -> dict[str, dict[str, Any]]:
    """The properties of the rules with a schedule, by their logical ids."""
    rules = {name: item["Properties"] for name, item in template.of_type("AWS::Events::Rule").items()}
    return {name: rule for name, rule in rules.items() if "ScheduleExpression" in rule}


def test_without_the_setting_nothing_of_it_is_there(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"serving.mode": "realtime"})
    assert not template.of_type("AWS::SSM::Parameter")
    assert not schedules(template)
    assert not [name for name in template.resources if name.startswith("Pause")]
    assert StackOutput.SLEEP_RECORD not in template.body["Outputs"]
    assert not WAKING & allowed(template, "Api").keys()
    assert not {action for name in ("Functions", "Cleanup") for action in allowed(template, name) if "ssm:" in action}
    assert "DeleteFailedEndpoint" not in template.definition()["States"]
    for name in ("classify", "verdict", "check_dataset", "retire"):
        assert template.function(name)["Environment"]["Variables"]["SLEEP_RECORD"] == ""


def test_the_endpoint_is_looked_at_every_quarter_of_an_hour(paused: Template) -> None:
    ((logical_id, rule),) = schedules(paused).items()
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(15 minutes)", "ENABLED")
    (target,) = rule["Targets"]
    function = target["Arn"]["Fn::GetAtt"][0]
    assert paused.resources[function]["Properties"]["Handler"] == "pause.handler.handler"
    variables = paused.function("pause")["Environment"]["Variables"]
    assert variables["PAUSE_AFTER_HOURS"] == "12"
    invokers = [item["Properties"] for item in paused.of_type("AWS::Lambda::Permission").values()]
    assert {"Fn::GetAtt": [logical_id, "Arn"]} in [
        item["SourceArn"] for item in invokers if item["Principal"] == "events.amazonaws.com"
    ]


def test_the_record_begins_with_nothing_and_no_setting_changes_it(
    paused: Template, synthesise: Callable[..., Template]
) -> None:
    """An update of the parameter would set it back while a model sleeps."""
    record = paused.only("AWS::SSM::Parameter")
    assert record == {"Name": "/whippet-dev/sleeping-model", "Type": "String", "Value": contract.NOTHING_SLEEPS}
    other = synthesise(**EVERY_FUNCTION | {"serving.pause_after_hours": "1", "api.auth": "iam"})
    assert other.only("AWS::SSM::Parameter") == record


def test_the_pause_function_may_delete_the_endpoint_and_nothing_that_brings_it_back(paused: Template) -> None:
    found = allowed(paused, "Pause")
    assert found.pop("logs:PutLogEvents") == found.pop("logs:CreateLogStream")
    assert found == {
        "sagemaker:DescribeEndpoint": {ENDPOINT},
        "sagemaker:DeleteEndpoint": {ENDPOINT},
        "states:ListExecutions": {f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:whippet-dev"},
        "cloudwatch:GetMetricStatistics": {"*"},
        "ssm:GetParameter": {RECORD},
        "ssm:PutParameter": {RECORD},
        # what sleeps scales no more, what has woken does again
        **{call: {f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/*"} for call in SCALING},
        "application-autoscaling:DescribeScalableTargets": {"*"},
        "sagemaker:UpdateEndpointWeightsAndCapacities": {ENDPOINT},
        "sagemaker:DescribeEndpointConfig": {f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint-config/whippet-dev-*"},
        **{call: {f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{ALARM_NAMES}"} for call in ALARMS},
        "iam:CreateServiceLinkedRole": {f"arn:aws:iam::{ACCOUNT}:role/{LINKED_ROLE}"},
    }


def test_the_api_may_create_that_endpoint_of_a_runs_configuration_and_not_change_the_record(paused: Template) -> None:
    found = allowed(paused, "Api")
    configs = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint-config/whippet-dev-*"
    assert found["sagemaker:CreateEndpoint"] == {ENDPOINT, configs}
    assert found["sagemaker:AddTags"] == {ENDPOINT}
    assert found["ssm:GetParameter"] == {RECORD}
    assert not {"ssm:PutParameter", "sagemaker:DeleteEndpoint", "sagemaker:UpdateEndpoint"} & found.keys()
    assert paused.function("classify")["Environment"]["Variables"]["ENVIRONMENT"] == "dev"


@pytest.mark.parametrize("reader", ["FunctionsVerdict", "FunctionsCheckDataset", "FunctionsRetire"])
def test_who_asks_for_the_model_in_service_may_read_the_record(paused: Template, reader: str) -> None:
    found = allowed(paused, reader)
    assert found["ssm:GetParameter"] == {RECORD}
    assert "ssm:PutParameter" not in found


def test_the_clean_up_comes_before_the_record_and_the_function_go(paused: Template) -> None:
    (cleanup,) = paused.of_type("Custom::WhippetCleanup").values()
    assert cleanup["Properties"]["SleepRecord"] == "/whippet-dev/sleeping-model"
    for name in (*paused.of_type("AWS::SSM::Parameter"), *schedules(paused)):
        assert name in cleanup["DependsOn"]


def test_the_endpoints_tags_are_those_of_a_release(paused: Template) -> None:
    tags: list[dict[str, Any]] = paused.definition()["States"]["CreateEndpoint"]["Parameters"]["Tags"]
    assert tags == contract.wake_request(endpoint="whippet-dev", config="whippet-dev-1", env="dev")["Tags"]
