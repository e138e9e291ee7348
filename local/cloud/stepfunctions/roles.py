"""Check every call of a Task state against the state machine's role, which ministack does not do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.cloud import auth, seam
from local.cloud.stepfunctions import attempt, errors, permissions
from local.sagemaker import SageMaker

__all__ = ["apply"]


def apply(states: Any, sagemaker: SageMaker) -> None:
    """Check the permissions of a Task before its call."""
    invoke = seam.expect(states, "_invoke_resource", "resource", "input_data")
    responses = seam.module("core.responses")

    def invoke_resource(resource: str, input_data: Any) -> Any:
        task = attempt.current.get()
        if task:
            check(task, needed(resource, input_data), sdk=":aws-sdk:" in resource)
        return invoke(resource, input_data)

    def needed(resource: str, input_data: Any) -> list[permissions.Permission]:
        resource_arn: Callable[[str, dict[str, Any]], str] = sagemaker.resource_arn
        account, region = responses.get_account_id(), responses.get_region()
        return permissions.needed(resource, input_data, resource_arn=resource_arn, account=account, region=region)

    def check(task: attempt.Attempt, wanted: list[permissions.Permission], *, sdk: bool) -> None:
        machine = states._state_machines.get(task.execution["stateMachineArn"])
        for permission in wanted:
            denial = auth.role_may(
                machine["roleArn"],
                action=permission.action,
                resource=permission.resource,
                session=str(task.execution["name"])[:64],
                context=permission.context,
            )
            if denial:
                raise states._ExecutionError(*_denied(permission, denial, sdk=sdk))

    states._invoke_resource = invoke_resource


def _denied(permission: permissions.Permission, denial: str, *, sdk: bool) -> tuple[str, str]:
    """Return the error name and the cause of a refused call."""
    service = permission.action.partition(":")[0]
    if service in ("sagemaker", "iam"):
        cause = errors.cause(denial, code="AccessDeniedException", status=400, sdk=sdk)
        return errors.name("AccessDeniedException", sdk=sdk), cause
    return {
        "lambda": "Lambda.AWSLambdaException",
        "sns": "SNS.AuthorizationErrorException",
        "s3": "S3.S3Exception",
    }.get(service, f"{service.capitalize()}.AccessDeniedException"), denial
