"""Automatic scaling as states: it begins with a release, goes on through updates, and ends only where it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

import contract
from tests.infra.asl_walker import TaskError, Walk, walk
from tests.infra.fake_run import NEW_CONFIG, OLD_CONFIG, Endpoint, tasks
from tests.infra.service_model import problems
from tests.infra.template import ACCOUNT, REGION, Template, listed

SCALING: Final = {
    "serving.mode": "realtime",
    "release.instance_count": "2",
    "scaling.max_instances": "6",
    "scaling.invocations_per_instance": "90.5",
    "scaling.out_cooldown_seconds": "60",
}
TARGET: Final = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/whippet-dev/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
DENIED: Final = TaskError("ApplicationAutoScaling.ApplicationAutoScalingException", "User is not authorized to perform")
SMOKE: Final = {"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}
OWN: Final = {"BeginScaling", "PutScalingPolicy", "EndScaling"}


@pytest.fixture(scope="module")
def template(synthesise: Callable[..., Template]) -> Template:
    return synthesise(**SCALING)


@pytest.fixture(scope="module")
def scaling(template: Template) -> dict[str, Any]:
    return template.definition()


def scaled(machine: str = "ml.m5.large") -> Endpoint:
    """An endpoint in service that scales."""
    endpoint = Endpoint(OLD_CONFIG, serverless=False)
    endpoint.machine, endpoint.scales = machine, True
    return endpoint


def own_states(result: Walk) -> list[str]:
    return [name for name in result.path if name in OWN]


@pytest.mark.parametrize("machine", ["ml.m5.large", "ml.c5.large"])
def test_every_request_is_what_the_services_know(scaling: dict[str, Any], machine: str) -> None:
    result = walk(scaling, tasks(scaled(machine)), {})
    payloads = dict(result.payloads)
    for name in OWN & payloads.keys():
        service, call = scaling["States"][name]["Resource"].split(":")[-2:]
        assert service == "applicationautoscaling"
        assert problems(call, payloads[name], service="application-autoscaling") == [], name
    assert problems("updateEndpoint", payloads["UpdateEndpoint"]) == []


def test_a_first_release_begins_the_scaling_after_its_smoke_test(scaling: dict[str, Any]) -> None:
    endpoint = Endpoint()
    result = walk(scaling, tasks(endpoint), {})
    assert (result.status, endpoint.scales) == ("SUCCEEDED", True)
    assert own_states(result) == ["BeginScaling", "PutScalingPolicy"]
    assert result.path.index("SmokeTest") < result.path.index("BeginScaling") < result.path.index("GiveLockBack")
    payloads = dict(result.payloads)
    assert payloads["BeginScaling"] == {**TARGET, "MinCapacity": 2, "MaxCapacity": 6}
    assert payloads["PutScalingPolicy"] == {
        **TARGET,
        "PolicyName": "invocations-per-instance",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 90.5,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleInCooldown": 300,
            "ScaleOutCooldown": 60,
        },
    }


def test_an_update_of_the_model_keeps_scaling_and_its_instances(scaling: dict[str, Any]) -> None:
    endpoint = scaled()
    result = walk(scaling, tasks(endpoint), {})
    assert result.status == "SUCCEEDED"
    assert own_states(result) == ["BeginScaling", "PutScalingPolicy"], "SageMaker allows such an update"
    update = dict(result.payloads)["UpdateEndpoint"]
    assert update["RetainAllVariantProperties"] is True
    # what the new configuration says of the captured data counts
    excluded = {each["VariantPropertyType"] for each in update["ExcludeRetainedVariantProperties"]}
    assert excluded == {"DesiredWeight", "DataCaptureConfig"}


def test_another_instance_type_ends_the_scaling_first(scaling: dict[str, Any]) -> None:
    endpoint = scaled("ml.c5.large")
    result = walk(scaling, tasks(endpoint), {})
    assert (result.status, endpoint.scales) == ("SUCCEEDED", True)
    assert own_states(result) == ["EndScaling", "BeginScaling", "PutScalingPolicy"]
    assert result.path.index("EndScaling") < result.path.index("UpdateEndpoint")
    assert dict(result.payloads)["EndScaling"] == TARGET


def test_a_serverless_endpoint_has_no_instances_to_keep(scaling: dict[str, Any]) -> None:
    result = walk(scaling, tasks(Endpoint(OLD_CONFIG, serverless=True)), {})
    assert dict(result.payloads)["UpdateEndpoint"]["RetainAllVariantProperties"] is False
    assert own_states(result) == ["BeginScaling", "PutScalingPolicy"]


@pytest.mark.parametrize("machine", ["ml.m5.large", "ml.c5.large"])
@pytest.mark.parametrize("failure", ["update rolled back", "smoke test", "update refused"])
def test_after_a_failure_the_old_model_scales_as_before(scaling: dict[str, Any], machine: str, failure: str) -> None:
    endpoint = scaled(machine)
    endpoint.rolls_back = failure == "update rolled back"
    refused = TaskError("SageMaker.SageMakerException", "is not authorized to perform")
    broken = {"smoke test": SMOKE, "update refused": {"UpdateEndpoint": refused}}.get(failure, {})
    result = walk(scaling, tasks(endpoint, broken=broken), {})
    assert (result.status, endpoint.config, endpoint.scales) == ("FAILED", OLD_CONFIG, True)
    restored = dict(result.payloads).get("RestoreEndpoint")
    assert restored is None or restored["RetainAllVariantProperties"] is True


def test_a_first_model_that_fails_its_smoke_test_leaves_nothing_that_scales(scaling: dict[str, Any]) -> None:
    endpoint = Endpoint()
    result = walk(scaling, tasks(endpoint, broken=SMOKE), {})
    assert (result.error, endpoint.scales, own_states(result)) == ("SmokeTestFailed", False, [])


@pytest.mark.parametrize("state", ["BeginScaling", "PutScalingPolicy"])
def test_scaling_that_cannot_begin_does_not_undo_the_release_and_is_told(scaling: dict[str, Any], state: str) -> None:
    endpoint = Endpoint()
    result = walk(scaling, tasks(endpoint, broken={state: DENIED}), {})
    assert (result.status, endpoint.config) == ("SUCCEEDED", NEW_CONFIG)
    run = dict(result.payloads)["Notify"]["run"]
    from notify.run_message import compose

    assert "Automatic scaling of the endpoint could not be changed: User is not" in compose(run, execution="a").text


@pytest.mark.parametrize("serving", ["realtime", "serverless"])
def test_without_the_setting_a_release_ends_what_an_earlier_deployment_began(
    synthesise: Callable[..., Template], serving: str
) -> None:
    definition = synthesise(**{"serving.mode": serving}).definition()
    assert not {"BeginScaling", "PutScalingPolicy"} & definition["States"].keys()
    endpoint = scaled()
    result = walk(definition, tasks(endpoint), {})
    assert (result.status, endpoint.scales, own_states(result)) == ("SUCCEEDED", False, ["EndScaling"])
    assert "RetainAllVariantProperties" not in dict(result.payloads).get("UpdateEndpoint", {})
    # nothing scales
    assert walk(definition, tasks(Endpoint(OLD_CONFIG, serverless=False)), {}).status == "SUCCEEDED"
    # what remains is told
    refused = walk(definition, tasks(scaled(), broken={"EndScaling": DENIED}), {})
    assert refused.status == "SUCCEEDED"
    assert "Error" in dict(refused.payloads)["Notify"]["run"]["scaling"]


def statements(template: Template, role: str, service: str) -> list[dict[str, Any]]:
    """The statements about a service in the policies of a role, by the beginning of its logical id."""
    policies = {
        name
        for name, policy in template.of_type("AWS::IAM::Policy").items()
        if any(each["Ref"].startswith(role) for each in policy["Properties"]["Roles"])
    }
    found = [
        statement
        for name, statement in template.statements()
        if name in policies and any(action.startswith(f"{service}:") for action in listed(statement["Action"]))
    ]
    assert found, (role, service)
    return found


@pytest.mark.parametrize("role", ["WorkflowStateMachineRole", "TidyUpFunctionRole"])
def test_scaling_is_allowed_of_instance_counts_only(template: Template, role: str) -> None:
    for statement in statements(template, role, "application-autoscaling"):
        (resource,) = listed(statement["Resource"])
        assert resource == f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/*"
        assert statement["Condition"] == {
            "StringEquals": {
                "application-autoscaling:service-namespace": contract.SCALING_SERVICE,
                "application-autoscaling:scalable-dimension": contract.SCALING_DIMENSION,
            }
        }
    (linked,) = (each for each in statements(template, role, "iam") if "iam:PassRole" not in listed(each["Action"]))
    assert (
        linked["Condition"]["StringEquals"]["iam:AWSServiceName"] == "sagemaker.application-autoscaling.amazonaws.com"
    )
    alarms = {
        resource
        for statement in statements(template, role, "cloudwatch")
        for resource in listed(statement["Resource"])
        if "TargetTracking" in resource
    }
    prefix = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:TargetTracking-endpoint/whippet-dev/variant/AllTraffic-"
    assert alarms == {f"{prefix}*"}


def test_without_the_setting_nobody_may_begin_to_scale(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"serving.mode": "realtime"})
    actions = {action for _, statement in template.statements() for action in listed(statement["Action"])}
    scaling = {action for action in actions if action.startswith("application-autoscaling:")}
    assert scaling == {"application-autoscaling:DeregisterScalableTarget"}
    assert "iam:CreateServiceLinkedRole" not in actions
