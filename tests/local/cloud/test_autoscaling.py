"""Automatic scaling of an endpoint: registered by a state machine, followed by the requests, and ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

import contract
from local.clock import SPEED_VARIABLE
from tests.local.cloud.conftest import SERVING_IMAGE, Account, allow, running_cloud, until
from tests.local.cloud.test_guarded_update import load
from tests.system.permission_table import granted, unproved
from tests.system.system import STACK

SPEED: Final = 120
"""A minute in half a second."""
PLACE: Final = "us-east-1:000000000000"
ENDPOINT: Final = f"arn:aws:sagemaker:{PLACE}:endpoint/scaled"
PLAN: Final = contract.ScalingPlan(
    endpoint="scaled", min_instances=2, max_instances=5, invocations=3.0, in_cooldown=60, out_cooldown=60
)
TARGET: Final = contract.scalable_target("scaled")
CONDITION: Final = {
    "StringEquals": {
        "application-autoscaling:service-namespace": "sagemaker",
        "application-autoscaling:scalable-dimension": "sagemaker:variant:DesiredInstanceCount",
    }
}
LINKED: Final = (
    "arn:aws:iam::000000000000:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Account]:
    yield from running_cloud(tmp_path_factory.mktemp("scaling"), programs, **{SPEED_VARIABLE: str(SPEED)})


@pytest.fixture(scope="module")
def endpoint(account: Account) -> str:
    """An endpoint in service, and a configuration `others` with another instance type."""
    role = account.role("serves", "sagemaker.amazonaws.com", allow("s3:*", "*"), allow("logs:*", "*"))
    account.endpoint("scaled", role)
    variant = {"VariantName": "AllTraffic", "ModelName": "scaled", "InstanceType": "ml.c5.large"}
    account.client("sagemaker").create_endpoint_config(
        EndpointConfigName="others", ProductionVariants=[variant | {"InitialInstanceCount": 1}]
    )
    return "scaled"


def policy_without(*lacking: str) -> list[dict[str, Any]]:
    """What begins and ends scaling, without some of its actions."""
    targets = f"arn:aws:application-autoscaling:{PLACE}:scalable-target/*"
    alarms = f"arn:aws:cloudwatch:{PLACE}:alarm:TargetTracking-endpoint/scaled/variant/AllTraffic-*"
    calls = ["RegisterScalableTarget", "PutScalingPolicy", "DeregisterScalableTarget"]
    statements = [
        allow([f"application-autoscaling:{call}" for call in calls], targets) | {"Condition": CONDITION},
        allow(["sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"], ENDPOINT),
        allow(["cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms"], alarms),
        allow(["iam:CreateServiceLinkedRole"], LINKED)
        | {"Condition": {"StringEquals": {"iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}}},
        allow(["sagemaker:DeleteEndpoint"], ENDPOINT),
    ]
    return [
        statement | {"Action": kept}
        for statement in statements
        if (kept := [action for action in statement["Action"] if action not in lacking])
    ]


def state(call: str, parameters: Any, **more: Any) -> dict[str, Any]:
    resource = f"arn:aws:states:::aws-sdk:applicationautoscaling:{call}"
    return {"Type": "Task", "Resource": resource, "Parameters": dict(parameters), **more}


BEGIN: Final = {
    "Begin": state("registerScalableTarget", contract.scalable_range(PLAN), Next="Follow"),
    "Follow": state("putScalingPolicy", contract.scaling_policy(PLAN), End=True),
}
LACKING: Final = [
    "application-autoscaling:RegisterScalableTarget",
    "application-autoscaling:PutScalingPolicy",
    "sagemaker:DescribeEndpoint",
    "sagemaker:UpdateEndpointWeightsAndCapacities",
    "cloudwatch:PutMetricAlarm",
    "iam:CreateServiceLinkedRole",
]


def instances(account: Account) -> int:
    described = account.client("sagemaker").describe_endpoint(EndpointName="scaled")
    count: int = described["ProductionVariants"][0]["CurrentInstanceCount"]
    return count


def wait_for(account: Account, count: Callable[[int], bool]) -> None:
    until(lambda: {"instances": instances(account)}, lambda seen: count(seen["instances"]))


@pytest.mark.parametrize("action", LACKING)
def test_each_permission_is_needed_to_begin(account: Account, endpoint: str, action: str) -> None:
    name = action.replace(":", "-")
    role = account.role(name, "states.amazonaws.com", *policy_without(action))
    ended = account.run(name, role, BEGIN)
    assert (ended["status"], ended["error"]) == ("FAILED", "ApplicationAutoScaling.ApplicationAutoScalingException")
    assert f"is not authorized to perform: {action}" in ended["cause"]


def test_the_same_permissions_count_for_a_client(account: Account, endpoint: str) -> None:
    role = account.role("client", "lambda.amazonaws.com", *policy_without("iam:CreateServiceLinkedRole"))
    client = account.client("application-autoscaling", **account.assume(role))
    with pytest.raises(ClientError, match="not authorized to perform: iam:CreateServiceLinkedRole"):
        client.register_scalable_target(**contract.scalable_range(PLAN))
    with pytest.raises(ClientError, match="not authorized to perform: application-autoscaling:DescribeScalableTargets"):
        contract.registered_instances(client, endpoint="scaled")

    role = account.role(f"{STACK}-TidyUpFunction-begins", "lambda.amazonaws.com", *policy_without())
    client = account.client("application-autoscaling", **account.assume(role))
    client.register_scalable_target(**contract.scalable_range(PLAN))
    client.put_scaling_policy(**contract.scaling_policy(PLAN))


def test_instances_follow_the_requests(account: Account, endpoint: str) -> None:
    role = account.role("scales", "states.amazonaws.com", *policy_without())
    assert account.run("begin", role, BEGIN)["status"] == "SUCCEEDED"
    client = account.client("application-autoscaling")
    assert contract.registered_instances(client, endpoint="scaled") == 5
    wait_for(account, lambda count: count == 2)  # the registration brings the number into the range

    # the two alarms that AWS makes
    (policy,) = client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    names = [alarm["AlarmName"] for alarm in policy["Alarms"]]
    alarms = account.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    seen = {(alarm["ComparisonOperator"], alarm["EvaluationPeriods"], alarm["Threshold"]) for alarm in alarms}
    assert seen == {("GreaterThanThreshold", 3, 3.0), ("LessThanThreshold", 15, 0.9 * 3)}
    assert all(name.startswith("TargetTracking-endpoint/scaled/variant/AllTraffic-Alarm") for name in names)

    # many requests, and then none
    with load(account, endpoint):
        wait_for(account, lambda count: count == 5)
    wait_for(account, lambda count: count == 2)


def test_an_update_may_change_the_model_and_not_the_machines(account: Account, endpoint: str) -> None:
    sagemaker = account.client("sagemaker")
    until(lambda: sagemaker.describe_endpoint(EndpointName=endpoint), lambda it: it["EndpointStatus"] == "InService")
    with pytest.raises(ClientError, match="AllTraffic must be deregistered"):
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName="others")
    sagemaker.create_model(ModelName="next", ExecutionRoleArn=_role(account), PrimaryContainer={"Image": SERVING_IMAGE})
    variant = {"VariantName": "AllTraffic", "ModelName": "next", "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName="next", ProductionVariants=[variant | {"InitialInstanceCount": 1}]
    )
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName="next", **contract.retained_properties())
    until(lambda: sagemaker.describe_endpoint(EndpointName=endpoint), lambda it: it["EndpointConfigName"] == "next")
    assert instances(account) >= 2


def _role(account: Account) -> str:
    arn: str = account.client("iam").get_role(RoleName="serves")["Role"]["Arn"]
    return arn


def test_a_deletion_ends_the_scaling_for_whoever_may(account: Account, endpoint: str) -> None:
    sagemaker, states = account.client("sagemaker"), "states.amazonaws.com"
    until(lambda: sagemaker.describe_endpoint(EndpointName=endpoint), lambda it: it["EndpointStatus"] == "InService")
    delete = {
        "Delete": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:sagemaker:deleteEndpoint",
            "Parameters": {"EndpointName": "scaled"},
            "End": True,
        }
    }
    lacking = account.role("lacking", states, *policy_without("application-autoscaling:DeregisterScalableTarget"))
    refused = account.run("refused", lacking, delete)
    assert "not authorized to perform: application-autoscaling:DeregisterScalableTarget" in refused["cause"]
    with pytest.raises(ClientError, match="DeregisterScalableTarget"):
        account.client("sagemaker", **account.assume(lacking)).delete_endpoint(EndpointName="scaled")

    deletes = account.role(f"{STACK}-WorkflowStateMachineRole-deletes", states, *policy_without())
    assert account.run("deleted", deletes, delete)["status"] == "SUCCEEDED"
    client = account.client("application-autoscaling")
    assert contract.registered_instances(client, endpoint="scaled") == 0
    left = account.client("cloudwatch").describe_alarms(AlarmNamePrefix="TargetTracking-")["MetricAlarms"]
    assert left == []


def test_what_is_not_there_is_told_as_aws_tells_it(account: Account, endpoint: str) -> None:
    role = account.role("ends", "states.amazonaws.com", *policy_without())
    ended = account.run("end", role, {"End": state("deregisterScalableTarget", TARGET, End=True)})
    assert (ended["status"], ended["error"]) == ("FAILED", "ApplicationAutoScaling.ObjectNotFoundException")
    assert json.dumps(TARGET["ResourceId"]).strip('"') in ended["cause"]
    nowhere = {**contract.scalable_range(PLAN), "ResourceId": "endpoint/none/variant/AllTraffic"}
    with pytest.raises(ClientError, match="Could not find endpoint"):
        account.client("application-autoscaling").register_scalable_target(**nowhere)
    with pytest.raises(ClientError, match="The local cloud scales ServiceNamespace=sagemaker"):
        account.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId="service/a/b",
            ScalableDimension="ecs:service:DesiredCount",
            MinCapacity=1,
            MaxCapacity=2,
        )


def test_what_a_whole_run_does_not_need_is_needed_here(account: Account, endpoint: str) -> None:
    """The stack's roles have the same permissions and names that begin so."""
    permissions = granted(account.client("iam"), prefix=STACK)
    assert unproved(permissions, account.permission_log(), test=__file__) == []
