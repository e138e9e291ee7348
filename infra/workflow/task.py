"""The one place where a call of an API or a Lambda becomes a state of the state machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

__all__ = ["ANY_ERROR", "FailureRoute", "callback_task", "lambda_task", "sagemaker_task"]

ANY_ERROR = ["States.ALL"]
_API_TIMEOUT_SECONDS = 120

_OPTIMISED = {
    "createEndpoint",
    "createEndpointConfig",
    "createHyperParameterTuningJob.sync",
    "createModel",
    "createProcessingJob.sync",
    "createTrainingJob.sync",
    "updateEndpoint",
}
"""Step Functions' own SageMaker integrations ("Create and manage Amazon SageMaker AI jobs"); the rest go by the SDK."""

_SAGEMAKER_TRANSIENT = [
    "SageMaker.AmazonSageMakerException",
    "SageMaker.SageMakerException",
    "SageMaker.SdkClientException",
]
"""Step Functions names throttling only by SageMaker's general exceptions, so a refusal is tried again, too: in vain,
but harmless."""

_LAMBDA_TRANSIENT = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
]


class FailureRoute:
    """Where a failed state leads: to `handler`, with the error under `$.failure.<name of the state>`.

    The key tells the notification which state failed, without a state of its own for each.
    """

    def __init__(self, handler: sfn.State) -> None:
        self.handler = handler

    def catch(self, state: sfn.CustomState) -> None:
        """Send every error of this state there."""
        state.add_catch(self.handler, errors=ANY_ERROR, result_path=f"$.failure.{state.node.id}")

    def fail(self, scope: Construct, name: str, *, error: str, cause: str) -> sfn.Pass:
        """A state that leads there by itself; a text may be a JSONPath or an intrinsic function that gives it."""
        details = {_key("Error", error): error, _key("Cause", cause): cause}
        state = sfn.Pass(scope, name, parameters=details, result_path=f"$.failure.{name}")
        state.next(self.handler)
        return state


def _key(name: str, value: str) -> str:
    return f"{name}.$" if value.startswith(("$", "States.Format")) else name


def sagemaker_task(
    scope: Construct,
    name: str,
    *,
    call: str,
    payload: Mapping[str, Any],
    result_path: str | None = None,
    result_selector: Mapping[str, str] | None = None,
    timeout: cdk.Duration | None = None,
    retry: bool = True,
) -> sfn.CustomState:
    """A SageMaker API call with its payload exactly as the API takes it.

    Args:
        scope: Where the state belongs.
        name: Name of the state.
        call: The API action, its first letter small; with `.sync` the state waits until the job is done.
        payload: The request; keys that end in `.$` take their value from the state's input (JSONPath).
        result_path: Where the answer goes; None for nowhere.
        result_selector: What of the answer is kept; empty: all.
        timeout: How long the state may take: for `.sync` the job's time and the wait for its machine.
        retry: Whether a refusal is tried again, for throttling cannot be told from other refusals.
    """
    integration = "sagemaker" if call in _OPTIMISED else "aws-sdk:sagemaker"
    state_json: dict[str, Any] = {
        "Type": "Task",
        "Resource": f"arn:{cdk.Aws.PARTITION}:states:::{integration}:{call}",
        "Parameters": dict(payload),
        # None itself would be lost on its way to JavaScript, and the answer would replace the state's data.
        "ResultPath": result_path or sfn.JsonPath.DISCARD,
        "TimeoutSeconds": timeout.to_seconds() if timeout else _API_TIMEOUT_SECONDS,
    }
    if result_selector:
        state_json["ResultSelector"] = dict(result_selector)
    state = sfn.CustomState(scope, name, state_json=state_json)
    if retry:
        _retry(state, _SAGEMAKER_TRANSIENT)
    return state


def lambda_task(
    scope: Construct,
    name: str,
    *,
    function_arn: str,
    payload: Mapping[str, Any],
    result_path: str,
    timeout: cdk.Duration,
) -> sfn.CustomState:
    """A Lambda invocation; its answer goes to `result_path`, its exception's class name is the error's name."""
    return _invocation(scope, name, resource=function_arn, parameters=payload, result_path=result_path, timeout=timeout)


def callback_task(
    scope: Construct,
    name: str,
    *,
    function_arn: str,
    payload: Mapping[str, Any],
    result_path: str,
    timeout: cdk.Duration,
) -> sfn.CustomState:
    """A Lambda invocation that hands on the task's token; the state waits until somebody answers with it."""
    return _invocation(
        scope,
        name,
        resource=f"arn:{cdk.Aws.PARTITION}:states:::lambda:invoke.waitForTaskToken",
        parameters={"FunctionName": function_arn, "Payload": dict(payload)},
        result_path=result_path,
        timeout=timeout,
    )


def _invocation(
    scope: Construct,
    name: str,
    *,
    resource: str,
    parameters: Mapping[str, Any],
    result_path: str,
    timeout: cdk.Duration,
) -> sfn.CustomState:
    state = sfn.CustomState(
        scope,
        name,
        state_json={
            "Type": "Task",
            "Resource": resource,
            "Parameters": dict(parameters),
            "ResultPath": result_path,
            "TimeoutSeconds": timeout.to_seconds(),
        },
    )
    _retry(state, _LAMBDA_TRANSIENT)
    return state


def _retry(state: sfn.CustomState, errors: list[str]) -> None:
    state.add_retry(
        errors=errors,
        interval=cdk.Duration.seconds(2),
        max_attempts=3,
        backoff_rate=2,
        jitter_strategy=sfn.JitterType.FULL,
    )
