"""What AWS's own lists say a call needs of its caller, held against the state machine's role.

Two lists: the handlers of CloudFormation's resource schemas, which cfn-lint ships, say which permissions it takes to
make a resource; the service authorization reference, which policy_sentry ships, names an action's dependent actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from policy_sentry.querying.actions import get_action_data

from tests.infra.template import Template

SETTINGS: list[dict[str, str]] = [
    {},
    {"training.mode": "finetune"},
    {"release.approval": "manual", "tuning.warm_start": "true"},
    {"debugger.mode": "own"},
    {
        "debugger.mode": "own",
        "serving.mode": "realtime",
        "security.kms_key": "create",
        "security.subnets": "subnet-01234567",
        "security.security_groups": "sg-01234567",
    },
]

RESOURCES = {
    "CreateModel": "AWS::SageMaker::Model",
    "CreateModelPackage": "AWS::SageMaker::ModelPackage",
    "CreateEndpointConfig": "AWS::SageMaker::EndpointConfig",
    "CreateEndpoint": "AWS::SageMaker::Endpoint",
    "CreateProcessingJob": "AWS::SageMaker::ProcessingJob",
}
"""The resource type that a call makes. CloudFormation has none for training and tuning jobs."""

OF_THE_JOBS_ROLE = (
    *("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission"),
    *("ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission"),
    *("ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups"),
    *("ec2:DescribeSubnets", "ec2:DescribeVpcs", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey"),
)

NOT_NEEDED = {
    # CloudFormation looks at what it has made; the state machine has states of their own for that.
    "*": {"sagemaker:ListTags": "CloudFormation reads tags back", "sagemaker:UpdateModelPackage": "a call of its own"},
    "CreateModelPackage": {
        "iam:PassRole": "only a ValidationSpecification names a role",
        "sagemaker:AddTags": "a version in a group takes the group's tags and refuses tags of its own",
        "sagemaker:CreateModel": "only a ValidationSpecification makes one",
        "sagemaker:CreateTrainingJob": "only a ValidationSpecification makes one",
        "sagemaker:CreateTransformJob": "only a ValidationSpecification makes one",
        "sagemaker:DescribeTransformJob": "only a ValidationSpecification makes one",
        "sagemaker:DescribeModelPackage": "CloudFormation waits for it",
        "ecr:StartImageScan": "CloudFormation may scan, the call does not",
        "ecr:DescribeImageScanFindings": "CloudFormation may scan, the call does not",
    },
    "CreateProcessingJob": dict.fromkeys(
        OF_THE_JOBS_ROLE, "the job's own role has it and asks (SageMaker AI API Permissions)"
    ),
    "CreateEndpointConfig": {"iam:PassRole": "no ExecutionRoleArn: there is neither an inference component nor a VPC"},
}
"""By call: permissions of the lists that the payload does not use, with the reason."""


def calls(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The SageMaker calls of the state machine, as `CreateModel`, with their payloads."""
    for state in definition["States"].values():
        service, _, call = state.get("Resource", "").removeprefix("arn:aws:states:::").rpartition(":")
        if state["Type"] == "Task" and service in ("sagemaker", "aws-sdk:sagemaker"):
            name = call.removesuffix(".sync")
            yield name[0].upper() + name[1:], state["Parameters"]


def implied(call: str, payload: dict[str, Any]) -> set[str]:
    """Permissions that the lists name for the call and that apply to the payload."""
    dependent = get_action_data("sagemaker", call) or {}
    needed = {
        action
        for entry in dependent.get("sagemaker", [])
        for action in entry["dependent_actions"]
        if action not in ("", "sagemaker:AddTags") or "Tags" in payload
    }
    if call in RESOURCES:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", RESOURCES[call]).schema
        needed |= set(schema["handlers"]["create"]["permissions"])
    text = str(payload)
    if "Kms" not in text:
        needed = {action for action in needed if not action.startswith("kms:")}
    if "Vpc" not in text and "NetworkConfig" not in text:
        needed = {action for action in needed if not action.startswith("ec2:")}
    return needed - NOT_NEEDED["*"].keys() - NOT_NEEDED.get(call, {}).keys()


def allowed(template: Template) -> set[str]:
    """Actions that the state machine's role allows."""
    machine = template.only("AWS::StepFunctions::StateMachine")["RoleArn"]["Fn::GetAtt"][0]
    found: set[str] = set()
    for policy in template.of_type("AWS::IAM::Policy").values():
        if {"Ref": machine} in policy["Properties"]["Roles"]:
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                found |= {actions} if isinstance(actions, str) else set(actions)
    return found


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: " ".join(settings.values()) or "default")
def test_the_state_machine_may_do_what_its_calls_imply(
    synthesise: Callable[..., Template], settings: dict[str, str]
) -> None:
    template = synthesise(**settings)
    may = allowed(template)
    missing = {
        f"{call}: {action}"
        for call, payload in calls(template.definition())
        for action in implied(call, payload)
        if action not in may
    }
    assert not missing


def test_the_lists_know_every_call(synthesise: Callable[..., Template]) -> None:
    """A call that a list does not know would pass unseen."""
    made = {call for settings in SETTINGS for call, _ in calls(synthesise(**settings).definition())}
    assert {"CreateModelPackage", "CreateTrainingJob", "UpdateEndpoint"} <= made
    assert not [call for call in made if not (get_action_data("sagemaker", call) or {}).get("sagemaker")]


@pytest.mark.parametrize("call", sorted(NOT_NEEDED.keys() - {"*"}))
def test_an_exception_is_one_of_the_lists(call: str) -> None:
    """An exception that no list asks for any more has to go."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", RESOURCES[call]).schema
    asked = set(schema["handlers"]["create"]["permissions"])
    for entry in (get_action_data("sagemaker", call) or {}).get("sagemaker", []):
        asked |= set(entry["dependent_actions"])
    assert NOT_NEEDED[call].keys() <= asked
