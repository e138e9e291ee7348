"""Which IAM permissions a Task state's call needs of the state machine's role.

After the policies AWS documents for each integration (Step Functions developer guide, "IAM policies for integrated
services") and the Service Authorization Reference; ministack asks for none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from local.cloud.sagemaker import passed_roles

__all__ = ["Permission", "Task", "needed", "parse"]

ResourceArn = Callable[[str, dict[str, Any]], str]


@dataclass(frozen=True)
class Permission:
    """One action on one resource, with the condition keys it is checked under."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A `Resource` taken apart: `arn:aws:states:::aws-sdk:sagemaker:describeEndpoint` or `…:::sns:publish`."""

    service: str
    operation: str
    """As the API spells it: DescribeEndpoint."""
    sdk: bool
    """Whether it is an AWS SDK integration, not an optimized one: errors are named differently."""
    sync: bool


_JOBS: Final = {
    "CreateTrainingJob": "TrainingJob",
    "CreateHyperParameterTuningJob": "HyperParameterTuningJob",
    "CreateProcessingJob": "ProcessingJob",
}


def parse(resource: str) -> Task | None:
    """The service call behind a `Resource`; None for a function's, activity's or other state machine's own ARN."""
    parts = resource.split(":")
    if parts[:5] != ["arn", "aws", "states", "", ""] or len(parts) < 7:
        return None
    sdk = parts[5] == "aws-sdk"
    service, operation = (parts[6], parts[7]) if sdk and len(parts) > 7 else (parts[5], parts[6])
    name, _, pattern = operation.partition(".")
    return Task(service=service, operation=name[:1].upper() + name[1:], sdk=sdk, sync=pattern.startswith("sync"))


def needed(resource: str, parameters: Any, *, resource_arn: ResourceArn, account: str, region: str) -> list[Permission]:
    """The permissions of one call, in the order AWS would miss them."""
    values = parameters if isinstance(parameters, dict) else {}
    if ":function:" in resource:
        return [Permission("lambda:InvokeFunction", resource)]
    task = parse(resource)
    if task is None:
        return []
    if task.service == "sagemaker":
        return _sagemaker(task, values, resource_arn)
    if task.service == "lambda" and task.operation == "Invoke":
        name = str(values.get("FunctionName", ""))
        arn = name if name.startswith("arn:") else f"arn:aws:lambda:{region}:{account}:function:{name}"
        return [Permission("lambda:InvokeFunction", arn)]
    if task.service == "s3":
        arn = f"arn:aws:s3:::{values.get('Bucket', '*')}" + (f"/{values['Key']}" if "Key" in values else "")
        return [Permission(f"s3:{task.operation}", arn)]
    if task.service == "sns":
        return [Permission(f"sns:{task.operation}", str(values.get("TopicArn", "*")))]
    if task.service == "states" and task.operation == "StartExecution":
        return [Permission("states:StartExecution", str(values.get("StateMachineArn", "*")))]
    return [Permission(f"{task.service}:{task.operation}", "*")]


def _sagemaker(task: Task, parameters: dict[str, Any], resource_arn: ResourceArn) -> list[Permission]:
    arn = resource_arn(task.operation, parameters)
    permissions = [Permission(f"sagemaker:{task.operation}", arn)]
    if task.operation in ("CreateEndpoint", "UpdateEndpoint") and "EndpointConfigName" in parameters:
        # Both calls are authorised on the endpoint and on its configuration.
        config = resource_arn("DescribeEndpointConfig", {"EndpointConfigName": parameters["EndpointConfigName"]})
        permissions.append(Permission(f"sagemaker:{task.operation}", config))
    if task.operation == "CreateModelPackage" and "ModelPackageGroupName" in parameters:
        # On the versions of the group, and on the group.
        group = {"ModelPackageGroupName": parameters["ModelPackageGroupName"]}
        permissions.append(Permission("sagemaker:CreateModelPackage", resource_arn("DescribeModelPackageGroup", group)))
    if parameters.get("Tags"):
        permissions.append(Permission("sagemaker:AddTags", arn))
    job = _JOBS.get(task.operation)
    if task.sync and job:
        permissions += [Permission(f"sagemaker:Describe{job}", arn), Permission(f"sagemaker:Stop{job}", arn)]
    permissions += [
        Permission("iam:PassRole", role, {"iam:passedtoservice": "sagemaker.amazonaws.com"})
        for role in passed_roles(parameters)
    ]
    return permissions
