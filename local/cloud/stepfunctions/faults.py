"""Faults for the calls that the state machine makes itself, and the names that Step Functions gives to what follows.

A connection that breaks is an error of the SDK and not of the service: `Lambda.SdkClientException` for Lambda
(developer guide, "Handle transient Lambda service exceptions"), and the same class for every other service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from local.cloud import seam
from local.cloud.stepfunctions import errors, permissions
from local.sagemaker import SageMakerError
from local.sagemaker.account import DocumentError, FaultError, Faults, LostAnswerError
from local.sagemaker.account.operations import SERVICES, service_model

__all__ = ["apply", "error_name", "sagemaker_call"]

_T = TypeVar("_T")

_LOST: Final = "Unable to execute HTTP request: The target server failed to respond"

_BOTO3_NAMES: Final = {
    "applicationautoscaling": "application-autoscaling",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "sfn": "stepfunctions",
    "states": "stepfunctions",
}
"""Services whose names in a `Resource` differ from boto3's."""

_OPTIMIZED_UNMODELLED: Final = {"lambda": "AWSLambdaException"}
"""Names of errors that are not in the API's model, where they are not `Amazon<service>Exception`."""


def sagemaker_call(states: Any, faults: Faults, operation: str, call: Callable[[], _T]) -> _T:
    """Make a call to SageMaker as the faults let it.

    Raises:
        SageMakerError: a fault answers with an error, or the call does.
        _ExecutionError: the answer is lost.
    """
    try:
        return faults.through("sagemaker", operation, call)
    except FaultError as error:
        raise SageMakerError(error.code, error.message, error.status) from None
    except LostAnswerError:
        raise states._ExecutionError("SageMaker.SdkClientException", _LOST) from None
    except DocumentError as error:
        raise states._ExecutionError("States.Runtime", str(error)) from None


def apply(states: Any, faults: Faults) -> None:
    """Let faults hit the calls of Task states to Lambda and all other services but SageMaker."""
    invoke = seam.expect(states, "_invoke_resource", "resource", "input_data")

    def invoke_resource(resource: str, input_data: Any) -> Any:
        called = _called(resource)
        if called is None:
            return invoke(resource, input_data)
        service, operation = called
        sdk = ":aws-sdk:" in resource
        try:
            return faults.through(service, operation, lambda: invoke(resource, input_data))
        except FaultError as error:
            cause = errors.cause(error.message, code=error.code, status=error.status, sdk=sdk)
            raise states._ExecutionError(error_name(service, error.code, sdk=sdk), cause) from None
        except LostAnswerError:
            raise states._ExecutionError(f"{_prefix(service, sdk=sdk)}.SdkClientException", _LOST) from None
        except DocumentError as error:
            raise states._ExecutionError("States.Runtime", str(error)) from None

    states._invoke_resource = invoke_resource


def _called(resource: str) -> tuple[str, str] | None:
    """Return the service, by boto3's name, and the operation of a `Resource`; None for SageMaker and activities."""
    if ":function:" in resource:
        return "lambda", "Invoke"
    task = permissions.parse(resource)
    if task is None or task.service == "sagemaker":
        return None
    service = _BOTO3_NAMES.get(task.service.lower(), task.service.lower())
    return (service, task.operation) if service in SERVICES else None


def error_name(service: str, code: str, *, sdk: bool) -> str:
    """Return the name of an error as Catch and Retry match it."""
    prefix = _prefix(service, sdk=sdk)
    if code in {shape.name for shape in service_model(service).error_shapes}:
        return f"{prefix}.{code}" if code.endswith("Exception") else f"{prefix}.{code}Exception"
    if sdk:
        return f"{prefix}.{prefix}Exception"
    return f"{prefix}.{_OPTIMIZED_UNMODELLED.get(service, f'Amazon{prefix}Exception')}"


def _prefix(service: str, *, sdk: bool) -> str:
    """Return the service's name in error names: as the SDK for Java 2 spells it, and in optimized ones as in APIs."""
    name = str(service_model(service).metadata["serviceId"]).replace(" ", "")
    return name.capitalize() if sdk and name.isupper() else name
