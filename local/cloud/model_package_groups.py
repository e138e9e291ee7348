"""CloudFormation's resource type AWS::SageMaker::ModelPackageGroup, which ministack does not have.

A change of the name or the description replaces the group ("AWS::SageMaker::ModelPackageGroup", CloudFormation template
reference). The name is always given by the template, so a changed description fails the update of a stack, as on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from local.cloud import seam
from local.sagemaker import SageMaker, SageMakerError

__all__ = ["apply"]

_TYPE: Final = "AWS::SageMaker::ModelPackageGroup"
_PROPERTIES: Final = ("ModelPackageGroupName", "ModelPackageGroupDescription", "Tags")


def apply(sagemaker: SageMaker) -> None:
    """Add the type to ministack's tables. Its handlers run on a worker thread, off the event loop."""
    provisioners = seam.module("services.cloudformation.provisioners")
    stacks = seam.module("services.cloudformation.stacks")
    handlers = seam.expect(provisioners, "_RESOURCE_HANDLERS")
    if _TYPE in handlers:
        raise seam.SeamError(f"ministack has an {_TYPE} of its own now, which local/cloud does not expect")
    on_worker_thread = seam.expect(stacks, "_runs_on_worker_thread", "resource_type")

    def runs_on_worker_thread(resource_type: str) -> bool:
        return resource_type == _TYPE or bool(on_worker_thread(resource_type))

    def create(logical_id: str, properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        for name in properties:
            if name not in _PROPERTIES:
                raise ValueError(f"{logical_id}: the local cloud's {_TYPE} does not support {name}; leave it out")
        arn = _call(sagemaker, "CreateModelPackageGroup", properties)["ModelPackageGroupArn"]
        return arn, _attributes(sagemaker, arn)

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        before, after = _tags(old), _tags(new)
        if gone := sorted(set(before) - set(after)):
            _call(sagemaker, "DeleteTags", {"ResourceArn": physical_id, "TagKeys": gone})
        if after:
            tags = [{"Key": key, "Value": value} for key, value in after.items()]
            _call(sagemaker, "AddTags", {"ResourceArn": physical_id, "Tags": tags})
        return physical_id, _attributes(sagemaker, physical_id)

    def delete(physical_id: str, _properties: dict[str, Any]) -> None:
        try:
            sagemaker.call("DeleteModelPackageGroup", {"ModelPackageGroupName": physical_id})
        except SageMakerError as error:
            if not error.message.endswith("does not exist."):
                raise ValueError(f"{error.message} (Service: SageMaker)") from None

    stacks._runs_on_worker_thread = runs_on_worker_thread
    handlers[_TYPE] = {"create": create, "update": update, "delete": delete}
    seam.expect(provisioners, "_REPLACING_PROPERTIES")[_TYPE] = (
        "ModelPackageGroupName",
        "ModelPackageGroupDescription",
    )
    seam.expect(provisioners, "_CUSTOM_NAME_REPLACEMENT")[_TYPE] = {
        "name": "ModelPackageGroupName",
        "requires_replacement": lambda old, new: (
            old.get("ModelPackageGroupDescription") != new.get("ModelPackageGroupDescription")
        ),
    }
    seam.expect(provisioners, "_STACK_TAG_PROPERTY")[_TYPE] = ("Tags", "list")


def _call(sagemaker: SageMaker, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return sagemaker.call(operation, dict(parameters))
    except SageMakerError as error:
        raise ValueError(f"{error.message} (Service: SageMaker)") from None


def _attributes(sagemaker: SageMaker, arn: str) -> dict[str, Any]:
    """Return the attributes for Fn::GetAtt; Ref is the ARN itself."""
    group = _call(sagemaker, "DescribeModelPackageGroup", {"ModelPackageGroupName": arn})
    return {
        "ModelPackageGroupArn": group["ModelPackageGroupArn"],
        "ModelPackageGroupStatus": group["ModelPackageGroupStatus"],
        "CreationTime": str(group["CreationTime"]),
    }


def _tags(properties: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in properties.get("Tags") or []}
