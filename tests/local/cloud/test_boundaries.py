"""Permission boundaries: of a role in a stack, for its sessions and for the tasks of a state machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.local.cloud.conftest import Account

ALL = {"Effect": "Allow", "Action": ["s3:*", "sagemaker:*"], "Resource": "*"}


def template(boundary: str | None) -> str:
    """A stack of one role that its policy allows S3 and SageMaker."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "states.amazonaws.com", "AWS": "arn:aws:iam::000000000000:root"},
    }
    properties: dict[str, Any] = {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust | {"Action": "sts:AssumeRole"}]},
        "Policies": [{"PolicyName": "all", "PolicyDocument": {"Version": "2012-10-17", "Statement": [ALL]}}],
        **({"PermissionsBoundary": boundary} if boundary else {}),
    }
    return json.dumps(
        {
            "Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}},
            "Outputs": {"Role": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}},
        }
    )


@pytest.fixture
def boundary(account: Account, name: str) -> str:
    """ARN of a policy that allows S3 and nothing else."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    created = account.client("iam").create_policy(PolicyName=f"{name}-boundary", PolicyDocument=json.dumps(document))
    arn: str = created["Policy"]["Arn"]
    return arn


def describe(account: Account, machine: str, role: str) -> dict[str, Any]:
    """A state machine's only execution, which describes an endpoint that is not there."""
    resource = "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint"
    state = {"Type": "Task", "Resource": resource, "Parameters": {"EndpointName": "nowhere"}, "End": True}
    return account.run(machine, role, {"Look": state})


def test_a_role_of_a_stack_may_only_do_what_its_boundary_allows_too(account: Account, name: str, boundary: str) -> None:
    role = account.deploy(name, template(boundary))["Role"]
    session = account.assume(role)
    account.client("s3", **session).list_buckets()
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:ListModels"):
        account.client("sagemaker", **session).list_models()
    refused = describe(account, name, role)
    assert "not authorized to perform: sagemaker:DescribeEndpoint" in refused["cause"]


def test_without_a_boundary_the_policy_alone_counts(account: Account, name: str) -> None:
    role = account.deploy(name, template(None))["Role"]
    account.client("sagemaker", **account.assume(role)).list_models()
    assert "Could not find endpoint" in describe(account, name, role)["cause"]


def test_a_boundary_can_be_added_by_an_update(account: Account, name: str, boundary: str) -> None:
    role = account.deploy(name, template(None))["Role"]
    account.client("cloudformation").update_stack(
        StackName=name, TemplateBody=template(boundary), Capabilities=["CAPABILITY_NAMED_IAM"]
    )
    assert account.settled(name)["StackStatus"] == "UPDATE_COMPLETE"
    assert "not authorized" in describe(account, name, role)["cause"]


def test_a_boundary_that_does_not_exist_fails_the_deployment(account: Account, name: str) -> None:
    missing = "arn:aws:iam::000000000000:policy/nowhere"
    account.client("cloudformation").create_stack(
        StackName=name, TemplateBody=template(missing), Capabilities=["CAPABILITY_NAMED_IAM"]
    )
    assert account.settled(name)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert any("does not exist or is not attachable" in event for event in account.events(name))
