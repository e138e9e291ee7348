"""Check every call of a Task state against the state machine's role, which ministack does not do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from local.cloud import auth, seam
from local.cloud.autoscaling.permissions import Need
from local.cloud.autoscaling.permissions import needed as autoscaling_needs
from local.cloud.autoscaling.service import Autoscaling
from local.cloud.stepfunctions import attempt, errors, faults, permissions
from local.sagemaker import SageMaker

__all__ = ["apply"]


def apply(states: Any, sagemaker: SageMaker, scaling: Autoscaling) -> None:
    """Check the permissions of a Task before its call."""
    invoke = seam.expect(states, "_invoke_resource", "resource", "input_data")
    responses = seam.module("core.responses")

    # every call of a Task passes here
    def invoke_resource(resource: str, input_data: Any) -> Any:
        task = attempt.current.get()
        if task:
            check(task, needed(resource, input_data), resource)
        return invoke(resource, input_data)

    def needed(resource: str, input_data: Any) -> list[permissions.Permission]:
        resource_arn: Callable[[str, dict[str, Any]], str] = sagemaker.resource_arn
        account, region = responses.get_account_id(), responses.get_region()
        call, values = permissions.parse(resource), input_data if isinstance(input_data, dict) else {}
        if call and call.service == permissions.AUTOSCALING:
            return _as_permissions(autoscaling_needs(call.operation, values, scaling.targets))
        further = scaling.needed_for_deletion(call.operation, values) if call and call.service == "sagemaker" else []
        return _as_permissions(further) + permissions.needed(
            resource, input_data, resource_arn=resource_arn, account=account, region=region
        )

    def check(task: attempt.Attempt, wanted: list[permissions.Permission], resource: str) -> None:
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
                raise states._ExecutionError(*_denied(permission, denial, resource))

    states._invoke_resource = invoke_resource


def _as_permissions(needs: Iterable[Need]) -> list[permissions.Permission]:
    return [permissions.Permission(need.action, need.resource, need.context) for need in needs]


def _denied(permission: permissions.Permission, denial: str, resource: str) -> tuple[str, str]:
    """Return the error name and the cause of a refused call."""
    sdk, call = ":aws-sdk:" in resource, permissions.parse(resource)
    if call and call.service == permissions.AUTOSCALING:
        name = faults.error_name("application-autoscaling", "AccessDeniedException", sdk=sdk)
        return name, errors.cause(denial, code="AccessDeniedException", status=400, sdk=sdk)
    service = permission.action.partition(":")[0]
    if service in ("sagemaker", "iam", "application-autoscaling"):
        cause = errors.cause(denial, code="AccessDeniedException", status=400, sdk=sdk)
        return errors.name("AccessDeniedException", sdk=sdk), cause
    return {
        "lambda": "Lambda.AWSLambdaException",
        "sns": "SNS.AuthorizationErrorException",
        "s3": "S3.S3Exception",
    }.get(service, f"{service.capitalize()}.AccessDeniedException"), denial
