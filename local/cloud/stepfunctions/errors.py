"""The names that Step Functions gives to SageMaker's errors, and the form that it gives to SageMaker's answers.

Optimized integrations use version 1 of the AWS SDK for Java, SDK integrations version 2. An error in the API's model
keeps its name: `SageMaker.ResourceLimitExceededException`. All others, such as ValidationException and
AccessDeniedException, have the service's name: `SageMaker.AmazonSageMakerException` in optimized integrations,
`SageMaker.SageMakerException` in SDK integrations. Public state machines that handle a missing endpoint of
aws-sdk:sagemaker:describeEndpoint catch the latter.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import botocore.session

__all__ = ["cause", "name", "shown"]

_UNMODELLED: Final = {True: "SageMakerException", False: "AmazonSageMakerException"}
"""The name of errors that are not in the API's model, for SDK integrations (True) and optimized ones (False)."""


def name(code: str, *, sdk: bool) -> str:
    """Return the error name that Catch and Retry match, for SageMaker's error code."""
    if code not in _modelled():
        return f"SageMaker.{_UNMODELLED[sdk]}"
    return f"SageMaker.{code}" if code.endswith("Exception") else f"SageMaker.{code}Exception"


def cause(message: str, *, code: str, status: int, sdk: bool) -> str:
    """Return the error's cause: the message and what the SDK appends to it."""
    request = uuid.uuid4()
    if sdk:
        return f"{message} (Service: SageMaker, Status Code: {status}, Request ID: {request})"
    return (
        f"{message} (Service: AmazonSageMaker; Status Code: {status}; Error Code: {code}; Request ID: {request}; "
        "Proxy: null)"
    )


def shown(operation: str, result: dict[str, Any], *, sdk: bool) -> dict[str, Any]:
    """Return an answer as a state gets it: times are ISO 8601 in SDK integrations, milliseconds in optimized ones."""
    shape = _model().operation_model(operation).output_shape
    value: dict[str, Any] = _shown(result, shape, sdk) if shape is not None else {}
    return value


def _shown(value: Any, shape: Any, sdk: bool) -> Any:
    if shape is None or value is None:
        return value
    if shape.type_name == "structure":
        return {key: _shown(item, shape.members.get(key), sdk) for key, item in value.items()}
    if shape.type_name == "list":
        return [_shown(item, shape.member, sdk) for item in value]
    if shape.type_name == "map":
        return {key: _shown(item, shape.value, sdk) for key, item in value.items()}
    if shape.type_name == "timestamp":
        moment = value if isinstance(value, datetime) else datetime.fromtimestamp(float(value), UTC)
        if sdk:
            text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
            return re.sub(r"(\.000)?\+00:00$", "Z", text)
        return int(moment.timestamp() * 1000)
    return value


@cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


@cache
def _modelled() -> frozenset[str]:
    return frozenset(shape.name for shape in _model().error_shapes)
