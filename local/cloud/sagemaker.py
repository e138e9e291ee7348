"""SageMaker as a service of ministack: the API, the runtime API, and IAM for both."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from local.cloud import auth, seam
from local.cloud.autoscaling.permissions import Need
from local.cloud.autoscaling.service import Autoscaling, check
from local.cloud.autoscaling.targets import AutoscalingError
from local.cloud.named_resources import Request, name_resources
from local.cloud.registration import add_service
from local.sagemaker import SageMaker, SageMakerError
from local.sagemaker.errors import unknown_operation

__all__ = ["AccessDeniedError", "call", "check_trust", "passed_roles", "register", "rollback_alarms"]

_SERVICE: Final = "sagemaker"
_PRINCIPAL: Final = "sagemaker.amazonaws.com"
_INVOCATIONS: Final = re.compile(r"/endpoints/([^/]+)/invocations")
_UNSUPPORTED: Final = {
    re.compile(r"/endpoints/[^/]+/async-invocations"): "InvokeEndpointAsync",
    re.compile(r"/endpoints/[^/]+/invocations-response-stream"): "InvokeEndpointWithResponseStream",
}
"""Paths of the runtime API's other operations."""

logger = logging.getLogger(__name__)

Response = tuple[int, dict[str, str], bytes]


class AccessDeniedError(SageMakerError):
    """The caller has no permission; the message is AWS's."""


def passed_roles(parameters: Any) -> list[str]:
    """Return every role that a request passes to SageMaker, at any depth; each needs `iam:PassRole`."""
    found: list[str] = []
    if isinstance(parameters, Mapping):
        for name, value in parameters.items():
            if name in ("RoleArn", "ExecutionRoleArn") and isinstance(value, str):
                found.append(value)
            else:
                found += passed_roles(value)
    elif isinstance(parameters, list):
        for value in parameters:
            found += passed_roles(value)
    return list(dict.fromkeys(found))


def rollback_alarms(parameters: Mapping[str, Any]) -> list[str]:
    """Return the names of the alarms that roll an endpoint's update back.

    The caller needs `cloudwatch:DescribeAlarms` on each ("Auto-Rollback Configuration and Monitoring").
    """
    config = parameters.get("DeploymentConfig")
    rollback = config.get("AutoRollbackConfiguration") if isinstance(config, Mapping) else None
    alarms = rollback.get("Alarms") if isinstance(rollback, Mapping) else None
    entries = alarms if isinstance(alarms, list) else []
    return [str(entry["AlarmName"]) for entry in entries if isinstance(entry, Mapping) and "AlarmName" in entry]


class SageMakerService:
    """The functions that ministack expects of a service's module: `handle_request`, and those that keep its state."""

    def __init__(self, sagemaker: SageMaker, scaling: Autoscaling) -> None:
        self._sagemaker = sagemaker
        self._scaling = scaling

    async def handle_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, list[str]]
    ) -> Response:
        """Answer a signed and authorised request, on a thread, since jobs and endpoints make it wait."""
        try:
            invocation = _INVOCATIONS.fullmatch(path)
            if invocation:
                status, answered, content = await asyncio.to_thread(
                    self._sagemaker.invoke_endpoint, invocation[1], headers=dict(headers), body=body
                )
                return status, dict(answered), content

            unsupported = next((name for pattern, name in _UNSUPPORTED.items() if pattern.fullmatch(path)), None)
            if unsupported is not None:
                raise unknown_operation(unsupported, exists=True)

            operation = headers.get("x-amz-target", "").rpartition(".")[2]
            parameters = _parse(body)
            for role in passed_roles(parameters) if operation.startswith("Create") else []:
                _check_pass_role(headers, query_params, role)
            for alarm in rollback_alarms(parameters):
                _check_alarm(headers, query_params, alarm)

            for need in self._scaling.needed_for_deletion(operation, parameters):
                _check_need(headers, query_params, need)

            check_trust(operation, parameters)
            result = await asyncio.to_thread(call, self._sagemaker, self._scaling, operation, parameters)
            return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(result, default=_encode).encode()
        except SageMakerError as error:
            return _error_response(error)

    def get_state(self) -> None:
        """Keep nothing across restarts, since jobs and endpoints are processes."""

    def load_persisted_state(self, data: Any) -> None:
        """Load nothing; the counterpart of `get_state`."""

    def reset(self) -> None:
        """Refuse ministack's reset of all services, since jobs and endpoints are processes."""
        logger.warning("SageMaker cannot be reset; stop and start the local cloud to begin without its records")


def call(sagemaker: SageMaker, scaling: Autoscaling, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Answer an operation, with what Application Auto Scaling has to do with it.

    Raises:
        SageMakerError: the API's error.
    """
    scaling.check_update(operation, parameters)
    result = sagemaker.call(operation, parameters)
    scaling.after(operation, parameters)
    return result


def check_trust(operation: str, parameters: Any) -> None:
    """Check that SageMaker can assume the roles of a Create request, as AWS does.

    Raises:
        SageMakerError: ValidationException, because a role does not exist or does not trust SageMaker.
    """
    if not operation.startswith("Create"):
        return
    for role in passed_roles(parameters):
        if not auth.role_trusts(role, _PRINCIPAL):
            raise SageMakerError(
                "ValidationException",
                f"Could not assume role {role}. Please ensure that the role exists and allows principal "
                f"'{_PRINCIPAL}' to assume the role.",
            )


def register(sagemaker: SageMaker, scaling: Autoscaling) -> None:
    """Add the service to ministack's tables: routing, persistence, and the names of IAM actions and resources."""
    actions = seam.module("core.iam_actions")
    seam.expect(actions, "_BOTOCORE_SERVICE_MAP")
    patterns = {"target_prefixes": ["SageMaker."], "host_patterns": [r"(api|runtime)\.sagemaker\."]}
    add_service(_SERVICE, SageMakerService(sagemaker, scaling), patterns=patterns)
    # InvokeEndpoint is a REST call: ministack finds its action by the path in botocore's model of the runtime API
    actions._BOTOCORE_SERVICE_MAP[_SERVICE] = ["sagemaker-runtime"]
    _name_resources(sagemaker)
    _keep_content_types(seam.module("app"))


def _keep_content_types(app: Any) -> None:
    """Let ministack leave the Content-Type of SageMaker's answers alone.

    It would write that of the JSON protocol over what an endpoint's container says of its answer.
    """
    original = seam.expect(app, "fix_success_content_type", "service", "status", "headers")

    def fix_success_content_type(service: str, status: int, headers: dict[str, str]) -> None:
        if service != _SERVICE:
            original(service, status, headers)

    app.fix_success_content_type = fix_success_content_type


def _name_resources(sagemaker: SageMaker) -> None:
    """Tell ministack's IAM which resource a SageMaker request needs a permission for."""

    def resource_of(request: Request) -> str:
        invocation = _INVOCATIONS.fullmatch(request.path)
        if invocation:
            return sagemaker.resource_arn("InvokeEndpoint", {"EndpointName": invocation[1]})
        try:
            return sagemaker.resource_arn(request.operation, _parse(request.body))
        except SageMakerError:
            # the service itself refuses an unreadable body or an unknown operation
            return "*"

    name_resources(_SERVICE, resource_of)


def _check_pass_role(headers: Mapping[str, str], query_params: Mapping[str, list[str]], role: str) -> None:
    evaluator, responses = seam.module("core.iam_evaluator"), seam.module("core.responses")
    access_key = seam.module("core.router").extract_access_key_id(headers, query_params)
    denied = evaluator.enforce(
        access_key,
        "iam:PassRole",
        "iam",
        responses.get_region(),
        resource_arn=role,
        service_context={"iam:passedtoservice": _PRINCIPAL},
    )
    if denied:
        raise AccessDeniedError(
            "AccessDeniedException",
            f"User: {denied.principal_arn} is not authorized to perform: iam:PassRole on resource: {role} "
            "because no identity-based policy allows the iam:PassRole action",
        )


def _check_alarm(headers: Mapping[str, str], query_params: Mapping[str, list[str]], alarm: str) -> None:
    evaluator, responses = seam.module("core.iam_evaluator"), seam.module("core.responses")
    access_key = seam.module("core.router").extract_access_key_id(headers, query_params)
    arn = f"arn:aws:cloudwatch:{responses.get_region()}:{responses.get_account_id()}:alarm:{alarm}"
    denied = evaluator.enforce(
        access_key, "cloudwatch:DescribeAlarms", "cloudwatch", responses.get_region(), resource_arn=arn
    )
    if denied:
        raise AccessDeniedError(
            "AccessDeniedException",
            f"User: {denied.principal_arn} is not authorized to perform: cloudwatch:DescribeAlarms on resource: {arn} "
            "because no identity-based policy allows the cloudwatch:DescribeAlarms action",
        )


def _check_need(headers: Mapping[str, str], query_params: Mapping[str, list[str]], need: Need) -> None:
    try:
        check(headers, query_params, need)
    except AutoscalingError as error:
        raise AccessDeniedError(error.code, error.message) from None


def _parse(body: bytes) -> dict[str, Any]:
    try:
        parameters = json.loads(body or b"{}")
    except ValueError:
        raise SageMakerError("SerializationException", "The request's body is not JSON.") from None
    if not isinstance(parameters, dict):
        raise SageMakerError("SerializationException", "The request's body is not a JSON object.")
    return parameters


def _error_response(error: SageMakerError) -> Response:
    payload = {"__type": error.code, "message": error.message, "Message": error.message, **error.members}
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": error.code}
    return error.status, headers, json.dumps(payload, default=_encode).encode()


def _encode(value: Any) -> Any:
    """Return a time as seconds since 1970, as AWS's JSON protocol has it."""
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} has no JSON form")
