"""Lambda: refuse a function whose role cannot be assumed or whose code is not there, through the API and in a stack.

ministack creates such a function, which then answers a stand-in. On AWS the deployment fails and is rolled back.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from local.cloud import auth, seam

__all__ = ["apply"]

_PRINCIPAL: Final = "lambda.amazonaws.com"
_MISSING: Final = {
    "NoSuchBucket": "The specified bucket does not exist",
    "NoSuchKey": "The specified key does not exist.",
    "NoSuchVersion": "The specified version does not exist.",
}
"""S3's error codes and messages, which Lambda repeats."""

Handler = Callable[..., tuple[str, dict[str, Any]]]


def apply(handler: dict[str, Any]) -> None:
    """Check functions in Lambda's API, and in CloudFormation's handler of AWS::Lambda::Function."""
    service = seam.module("services.lambda_svc")
    _check_requests(service)
    _check_resources(handler)


def _check_requests(service: Any) -> None:
    """Let CreateFunction, UpdateFunctionCode and UpdateFunctionConfiguration refuse such a function."""
    refuse = seam.expect(service, "error_response_json", "code", "message", "status")
    create = seam.expect(service, "_create_function", "data")
    update_code = seam.expect(service, "_update_code", "name", "data")
    update_configuration = seam.expect(service, "_update_config", "name", "data")

    def answer(problem: str | None, call: Callable[[], Any]) -> Any:
        return call() if problem is None else refuse("InvalidParameterValueException", problem, 400)

    service._create_function = lambda data: answer(
        _role_problem(data) or _code_problem(data.get("Code") or {}), lambda: create(data)
    )
    service._update_code = lambda name, data: answer(_code_problem(data), lambda: update_code(name, data))
    service._update_config = lambda name, data: answer(_role_problem(data), lambda: update_configuration(name, data))


def _check_resources(handler: dict[str, Any]) -> None:
    """Let a resource fail before anything of it is changed, in the words of CloudFormation's events."""
    create: Handler = handler["create"]
    update: Handler = handler["update"]

    def check(properties: Mapping[str, Any]) -> None:
        problem = _role_problem(properties) or _code_problem(properties.get("Code") or {})
        if problem:
            raise ValueError(
                f'Resource handler returned message: "{problem} (Service: Lambda, Status Code: 400, Request ID: '
                f'{uuid.uuid4()})" (RequestToken: {uuid.uuid4()}, HandlerErrorCode: InvalidRequest)'
            )

    def create_function(logical_id: str, properties: dict[str, Any], *rest: Any) -> tuple[str, dict[str, Any]]:
        check(properties)
        return create(logical_id, properties, *rest)

    def update_function(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any
    ) -> tuple[str, dict[str, Any]]:
        check(new)
        return update(physical_id, old, new, *rest)

    handler.update(create=create_function, update=update_function)


def _role_problem(properties: Mapping[str, Any]) -> str | None:
    """Return what Lambda says about a role that it cannot assume; None if it can, or if no role is named."""
    role = properties.get("Role")
    if role is None or auth.role_trusts(role, _PRINCIPAL):
        return None
    return "The role defined for the function cannot be assumed by Lambda."


def _code_problem(code: Mapping[str, Any]) -> str | None:
    """Return what Lambda says about code that is to be read from S3; None if it is there."""
    bucket, key, version = (code.get(name) for name in ("S3Bucket", "S3Key", "S3ObjectVersion"))
    if not (bucket and key):
        return None
    s3 = seam.module("services.s3")
    if bucket not in s3._buckets:
        missing = "NoSuchBucket"
    elif s3._get_object_data(bucket, key) is None and not version:
        missing = "NoSuchKey"
    elif version and s3._get_object_data(bucket, key, version_id=version) is None:
        missing = "NoSuchVersion"
    else:
        return None
    return f"Error occurred while GetObject. S3 Error Code: {missing}. S3 Error Message: {_MISSING[missing]}"
