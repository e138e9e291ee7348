"""The release by a guarded rollout: what the run asks of SageMaker, and what it says when alarms take a model back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.infra.asl_walker import TaskError, walk
from tests.infra.fake_run import NEW_CONFIG, OLD_CONFIG, PACKAGE, Endpoint, tasks
from tests.infra.template import ACCOUNT, REGION, Template, listed

ALARMS = [f"whippet-dev-endpoint-{kind}" for kind in ("errors", "latency", "unknown")]
REALTIME = {"serving.mode": "realtime"}


@pytest.fixture(scope="module")
def realtime(synthesise: Callable[..., Template]) -> Template:
    return synthesise(**REALTIME)


def deployment(template: Template) -> dict[str, Any] | None:
    found: dict[str, Any] = template.definition()["States"]["UpdateEndpoint"]["Parameters"]
    return found.get("DeploymentConfig")


def test_a_canary_is_the_default(realtime: Template) -> None:
    assert deployment(realtime) == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 600,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
            },
            "MaximumExecutionTimeoutInSeconds": 4800,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in ALARMS]},
    }


def test_linear_and_all_at_once(synthesise: Callable[..., Template]) -> None:
    linear = deployment(synthesise(**REALTIME, **{"release.rollout": "linear", "release.linear_percent": "30"}))
    assert linear is not None
    assert linear["BlueGreenUpdatePolicy"] == {
        "TrafficRoutingConfiguration": {
            "Type": "LINEAR",
            "WaitIntervalInSeconds": 600,
            "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 30},
        },
        "MaximumExecutionTimeoutInSeconds": 4 * 600 + 3600,
    }
    at_once = deployment(synthesise(**REALTIME, **{"release.rollout": "all_at_once", "release.bake_minutes": "3"}))
    assert at_once is not None
    routing = at_once["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 180}


def test_serverless_endpoints_have_no_guardrails(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"serving.mode": "serverless"})
    assert deployment(template) is None
    assert template.of_type("AWS::CloudWatch::Alarm") == {}
    assert "ExplainRollout" not in template.definition()["States"]


def test_a_first_release_and_a_way_back_are_not_guarded(realtime: Template) -> None:
    states = realtime.definition()["States"]
    assert "DeploymentConfig" not in states["CreateEndpoint"]["Parameters"]
    assert "DeploymentConfig" not in states["RestoreEndpoint"]["Parameters"]


def test_the_caller_may_see_its_alarms_and_no_others(realtime: Template) -> None:
    arns = {f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}" for name in ALARMS}
    found = {
        action: set(listed(statement["Resource"]))
        for _, statement in realtime.statements()
        for action in listed(statement["Action"])
        if action.startswith("cloudwatch:Describe")
    }
    assert found == {"cloudwatch:DescribeAlarms": arns, "cloudwatch:DescribeAlarmHistory": arns}


def test_without_a_limit_there_is_no_such_alarm(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**REALTIME, **{"release.max_latency_ms": "", "release.max_unknown_share": ""})
    (alarm,) = template.of_type("AWS::CloudWatch::Alarm").values()
    assert alarm["Properties"]["AlarmName"] == "whippet-dev-endpoint-errors"
    config = deployment(template)
    assert config is not None
    assert config["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "whippet-dev-endpoint-errors"}]}

    # nothing can take the model back, and so nothing is asked
    limits = ("max_error_share", "max_latency_ms", "max_unknown_share")
    bare = synthesise(**REALTIME, **{f"release.{name}": "" for name in limits})
    assert bare.of_type("AWS::CloudWatch::Alarm") == {}
    assert "AutoRollbackConfiguration" not in (deployment(bare) or {})
    assert not {"ExplainRollout", "RolledBackByItself?"} & bare.definition()["States"].keys()


@pytest.fixture
def definition(realtime: Template) -> dict[str, Any]:
    return realtime.definition()


def taken_back() -> Endpoint:
    endpoint = Endpoint(OLD_CONFIG, serverless=False)
    endpoint.rolls_back, endpoint.reason = True, "SageMaker's own words."
    return endpoint


def test_a_rollback_by_alarms_ends_the_run_and_the_approval(definition: dict[str, Any]) -> None:
    endpoint = taken_back()
    result = walk(definition, tasks(endpoint), {})
    assert (result.status, result.error) == ("FAILED", "RolloutRolledBack")
    assert "whippet-dev-endpoint-errors went off" in result.cause
    payloads = dict(result.payloads)
    assert payloads["ExplainRollout"]["endpoint"]["FailureReason"] == "SageMaker's own words."
    assert payloads["ExplainRollout"]["begun"]
    assert payloads["RejectRolledBack"]["ModelPackageArn"] == PACKAGE
    assert payloads["RejectRolledBack"]["ModelApprovalStatus"] == "Rejected"

    # what served serves on, and nothing is recorded as a release
    assert (endpoint.config, endpoint.calls) == (OLD_CONFIG, [f"update to {NEW_CONFIG}"])
    assert not {"RecordRelease", "SmokeTest", "Retire"} & set(result.path)


def test_alarms_that_cannot_be_asked_hide_no_failure(definition: dict[str, Any]) -> None:
    refusal = TaskError("AccessDenied", "no")
    result = walk(definition, tasks(taken_back(), broken={"ExplainRollout": refusal}), {})
    assert (result.status, result.error) == ("FAILED", "RolloutFailed")
    assert "SageMaker's own words." in result.cause


def test_a_registry_that_does_not_answer_hides_no_rollback(definition: dict[str, Any]) -> None:
    refusal = TaskError("SageMaker.SageMakerException", "Rate exceeded")
    result = walk(definition, tasks(taken_back(), broken={"RejectRolledBack": refusal}), {})
    assert result.error == "RolloutRolledBack"
    assert "RejectRolledBack failed, too: Rate exceeded" in result.cause


def test_an_endpoint_that_another_run_changed_is_not_called_rolled_back(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG, serverless=False)

    def update(payload: dict[str, Any]) -> dict[str, Any]:
        answer = endpoint.update(payload)
        endpoint.config = "whippet-dev-other"
        return answer

    result = walk(definition, tasks(endpoint) | {"UpdateEndpoint": update}, {})
    assert result.error == "RolloutFailed"
    assert "ExplainRollout" not in result.path


def test_the_run_waits_as_long_as_the_rollout_bakes(synthesise: Callable[..., Template]) -> None:
    def patience(template: Template) -> int:
        states = template.definition()["States"]
        (rule,) = [rule for rule in states["RolloutLate?"]["Choices"] if "NumericGreaterThanEquals" in rule]
        return int(rule["NumericGreaterThanEquals"]) * int(states["WaitLongerForRollout"]["Seconds"])

    short, long = (synthesise(**REALTIME, **{"release.bake_minutes": minutes}) for minutes in ("1", "60"))
    assert patience(long) >= patience(short) + 2 * 59 * 60 - 60
    limits = [template.definition()["TimeoutSeconds"] for template in (short, long)]
    assert limits[1] - limits[0] == 2 * 59 * 60
