"""The IAM permissions that the call of a Task state needs of the state machine's role; ministack checks none.

The sources are the policies that AWS documents for each integration (Step Functions developer guide, "IAM policies for
integrated services") and the Service Authorization Reference.

infra/workflow derives the role's policy from the states, and so maps calls to actions as well. The two mappings stay
apart on purpose, and this one knows nothing of infra: it plays AWS, which decides. If both came from one table, a
mistake in it would grant and demand the same wrong action, pass every local run and fail on AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from local.cloud.sagemaker import passed_roles, rollback_alarms

__all__ = ["AUTOSCALING", "Permission", "Task", "needed", "parse"]

AUTOSCALING: Final = "applicationautoscaling"
"""Application Auto Scaling's name in a `Resource`."""

ResourceArn = Callable[[str, dict[str, Any]], str]


@dataclass(frozen=True)
class Permission:
    """One action on one resource, with the condition keys of the request."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """The parts of a `Resource` such as `arn:aws:states:::aws-sdk:sagemaker:describeEndpoint` or `…:::sns:publish`."""

    service: str
    operation: str
    """As the API spells it: DescribeEndpoint."""
    sdk: bool
    """Whether it is an AWS SDK integration, which names errors differently than an optimized one."""
    sync: bool
    """Whether the task waits for the job's end (`.sync`)."""


_JOBS: Final = {
    "CreateTrainingJob": "TrainingJob",
    "CreateHyperParameterTuningJob": "HyperParameterTuningJob",
    "CreateProcessingJob": "ProcessingJob",
}


def parse(resource: str) -> Task | None:
    """Return the service call of a `Resource`; None if it is the ARN of a function, an activity or a state machine."""
    parts = resource.split(":")
    if parts[:5] != ["arn", "aws", "states", "", ""] or len(parts) < 7:
        return None
    sdk = parts[5] == "aws-sdk"
    service, operation = (parts[6], parts[7]) if sdk and len(parts) > 7 else (parts[5], parts[6])
    name, _, pattern = operation.partition(".")
    return Task(service=service, operation=name[:1].upper() + name[1:], sdk=sdk, sync=pattern.startswith("sync"))


def needed(resource: str, parameters: Any, *, resource_arn: ResourceArn, account: str, region: str) -> list[Permission]:
    """Return the permissions that one call needs, in the order in which AWS checks them.

    Args:
        resource: the `Resource` of the Task state.
        parameters: the call's parameters.
        resource_arn: returns the ARN that a SageMaker operation with these parameters is authorised on.
        account: the account's id.
        region: the Region's name.
    """
    values = parameters if isinstance(parameters, dict) else {}

    # a function's own ARN
    if ":function:" in resource:
        return [Permission("lambda:InvokeFunction", resource)]
    task = parse(resource)
    if task is None:
        return []

    # a service's integration, with the resource that its parameters name
    if task.service == "sagemaker":
        alarms = [f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}" for name in rollback_alarms(values)]
        return [
            *_sagemaker(task, values, resource_arn),
            *(Permission("cloudwatch:DescribeAlarms", alarm) for alarm in alarms),
        ]
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
    # the call itself
    arn = resource_arn(task.operation, parameters)
    permissions = [Permission(f"sagemaker:{task.operation}", arn)]
    if task.operation in ("CreateEndpoint", "UpdateEndpoint") and "EndpointConfigName" in parameters:
        # on the endpoint and on its configuration
        config = resource_arn("DescribeEndpointConfig", {"EndpointConfigName": parameters["EndpointConfigName"]})
        permissions.append(Permission(f"sagemaker:{task.operation}", config))
    if task.operation == "CreateModelPackage" and "ModelPackageGroupName" in parameters:
        # on the versions of the group and on the group
        group = {"ModelPackageGroupName": parameters["ModelPackageGroupName"]}
        permissions.append(Permission("sagemaker:CreateModelPackage", resource_arn("DescribeModelPackageGroup", group)))

    # what comes with it: tags, waiting for a job's end, roles that are passed
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
