"""AWS::SageMaker::ModelPackageGroup, and the Model Registry from a state machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.cloud.conftest import SERVING_IMAGE, allow, until

if TYPE_CHECKING:
    from tests.local.cloud.conftest import Account

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
SPECIFICATION = {"Containers": [{"Image": SERVING_IMAGE, "ModelDataUrl": "s3://b/model.tar.gz"}]}


def template(name: str, **properties: Any) -> str:
    group = {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": {"ModelPackageGroupName": name, **properties}}
    outputs = {"Ref": {"Value": {"Ref": "Group"}}, "Arn": {"Value": {"Fn::GetAtt": ["Group", "ModelPackageGroupArn"]}}}
    return json.dumps({"Resources": {"Group": group}, "Outputs": outputs})


def test_a_group_is_created_tagged_anew_and_deleted(account: Account, name: str) -> None:
    tags = [{"Key": "team", "Value": "a"}, {"Key": "old", "Value": "1"}]
    described = {"ModelPackageGroupDescription": "photos"}
    outputs = account.deploy(name, template(name, Tags=tags, **described))
    arn = f"{ARN}:model-package-group/{name}"
    assert outputs == {"Ref": arn, "Arn": arn}
    sagemaker, cloudformation = account.client("sagemaker"), account.client("cloudformation")
    assert (
        sagemaker.describe_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupDescription"] == "photos"
    )
    changed = template(name, Tags=[{"Key": "team", "Value": "b"}], **described)
    cloudformation.update_stack(StackName=name, TemplateBody=changed)
    assert account.settled(name)["StackStatus"] == "UPDATE_COMPLETE", account.events(name)
    found = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    assert {key: value for key, value in found.items() if not key.startswith("aws:")} == {"team": "b"}
    assert found["aws:cloudformation:stack-name"] == name
    cloudformation.delete_stack(StackName=name)
    until(
        lambda: {"groups": sagemaker.list_model_package_groups(NameContains=name)["ModelPackageGroupSummaryList"]},
        lambda seen: not seen["groups"],
    )


def test_another_description_would_replace_the_group_and_fails(account: Account, name: str) -> None:
    account.deploy(name, template(name, ModelPackageGroupDescription="photos"))
    changed = template(name, ModelPackageGroupDescription="more photos")
    account.client("cloudformation").update_stack(StackName=name, TemplateBody=changed)
    assert account.settled(name)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert any("custom-named resource" in reason for reason in account.events(name))


def test_a_group_with_packages_stays(account: Account, name: str) -> None:
    account.deploy(name, template(name))
    sagemaker, cloudformation = account.client("sagemaker"), account.client("cloudformation")
    package = sagemaker.create_model_package(ModelPackageGroupName=name, InferenceSpecification=SPECIFICATION)
    cloudformation.delete_stack(StackName=name)
    assert account.settled(name)["StackStatus"] == "DELETE_FAILED"
    assert any("still contains Model Packages" in reason for reason in account.events(name))
    sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
    sagemaker.delete_model_package_group(ModelPackageGroupName=name)


def test_a_state_machine_registers_approves_and_describes_a_package(account: Account, name: str) -> None:
    account.client("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    group, versions = f"{ARN}:model-package-group/{name}", f"{ARN}:model-package/{name}/*"
    role = account.role(
        name,
        "states.amazonaws.com",
        allow("sagemaker:CreateModelPackage", [group, versions]),
        allow(["sagemaker:UpdateModelPackage", "sagemaker:DescribeModelPackage"], versions),
    )
    states = _states(
        createModelPackage={"ModelPackageGroupName": name, "InferenceSpecification": SPECIFICATION},
        updateModelPackage={"ModelPackageArn.$": "$.ModelPackageArn", "ModelApprovalStatus": "Approved"},
        describeModelPackage={"ModelPackageName.$": "$.ModelPackageArn"},
    )
    ended = account.run(name, role, states)
    assert ended["status"] == "SUCCEEDED", ended
    package = json.loads(ended["output"])
    assert (package["ModelPackageVersion"], package["ModelApprovalStatus"]) == (1, "Approved")
    assert package["CreationTime"].endswith("Z")


@pytest.mark.parametrize("granted", ["group", "versions"])
def test_registering_needs_a_permission_on_the_group_and_on_its_versions(
    account: Account, name: str, granted: str
) -> None:
    resource = {"group": f"{ARN}:model-package-group/{name}", "versions": f"{ARN}:model-package/{name}/*"}[granted]
    role = account.role(name, "states.amazonaws.com", allow("sagemaker:CreateModelPackage", resource))
    states = _states(createModelPackage={"ModelPackageGroupName": name, "InferenceSpecification": SPECIFICATION})
    ended = account.run(name, role, states)
    assert (ended["status"], ended["error"]) == ("FAILED", "SageMaker.SageMakerException")
    assert "not authorized to perform: sagemaker:CreateModelPackage" in ended["cause"]


def test_errors_of_the_registry_are_named_as_aws_names_them(account: Account, name: str) -> None:
    sagemaker = account.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    sagemaker.create_model_package(ModelPackageGroupName=name, InferenceSpecification=SPECIFICATION)
    role = account.role(name, "states.amazonaws.com", allow("sagemaker:*", "*"))
    occupied = _states(deleteModelPackageGroup={"ModelPackageGroupName": name})
    assert account.run(f"{name}-1", role, occupied)["error"] == "SageMaker.ConflictException"
    absent = _states(describeTrainingJob={"TrainingJobName": "absent"})
    assert account.run(f"{name}-2", role, absent)["error"] == "SageMaker.SageMakerException"


def _states(**calls: dict[str, Any]) -> dict[str, Any]:
    """One SDK task after the other."""
    names = list(calls)
    states = {}
    for name, following in zip(names, [*names[1:], None], strict=True):
        state = {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:sagemaker:{name}", "Parameters": calls[name]}
        states[name] = state | ({"Next": following} if following else {"End": True})
    return states
