"""Turn a Lambda function or an API call into a state of the state machine, and register what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.names import Names
from infra.permissions import Permission
from infra.python_function import PythonFunction
from infra.workflow.protection import Protection
from infra.workflow.role import RunRole

__all__ = [
    "ANY_ERROR",
    "LOST_ANSWER",
    "NAME_TAKEN",
    "TRANSIENT",
    "FailureRoute",
    "RunScope",
    "callback_task",
    "lambda_task",
    "sagemaker_task",
    "text_key",
]

ANY_ERROR = ["States.ALL"]
_API_TIMEOUT_SECONDS = 120

_OPTIMISED = {
    "createEndpoint",
    "createHyperParameterTuningJob.sync",
    "createModel",
    "createProcessingJob.sync",
    "createTrainingJob.sync",
}
"""The calls that Step Functions has an optimised integration for ("Create and manage Amazon SageMaker AI jobs"); the
others use the AWS SDK integration. So do createEndpointConfig and updateEndpoint: whether their optimised integrations
know a serverless variant and a DeploymentConfig is said nowhere, and one that does not would have the deployment
refused."""

NAME_TAKEN: Final = ("SageMaker.ResourceInUseException", "SageMaker.ResourceInUse")
"""SageMaker's refusal of a name that it knows. Public state machines have both forms of an error of the API's model."""

_NO_QUOTA_LEFT = ["SageMaker.ResourceLimitExceededException", "SageMaker.ResourceLimitExceeded"]
"""SageMaker's refusal where a quota is used up. The instances of a job that has just ended count for minutes."""

LOST_ANSWER: Final = ("SageMaker.SdkClientException",)
"""The error of a call that SageMaker did not answer; it may have carried it out."""

TRANSIENT: Final = ("SageMaker.AmazonSageMakerException", "SageMaker.SageMakerException", *LOST_ANSWER)
"""Step Functions reports throttling and a 500 as SageMaker's general exceptions, so refusals are retried too, which
does no harm."""

_SAGEMAKER_ATTEMPTS = 5
"""Further attempts after 2, 4, 8, 16 and 32 seconds at most. States that a refusal leads elsewhere go there then."""

_LAMBDA_ATTEMPTS = 6
"""Further attempts within two minutes, as the concurrency of a new account may be 10."""

_LAMBDA_TRANSIENT = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
]


class RunScope(Construct):
    """The scope in which the run's states are made.

    `role` collects what the states may do. `function` makes the Lambda function of a state.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        environment: Mapping[str, str],
        functions: Construct,
        protection: Protection,
    ) -> None:
        super().__init__(scope, construct_id)
        self.protection = protection
        self.role = RunRole(names)
        self._environment = dict(environment)
        self._functions = functions

    def function(
        self,
        state: str,
        *,
        name: str,
        description: str,
        permissions: Sequence[Permission],
        environment: Mapping[str, str] | None = None,
        timeout: cdk.Duration,
        memory_mib: int = 256,
        packages: Sequence[str] = (),
        files: Sequence[str] = (),
    ) -> PythonFunction:
        """Make the function `lambda/<name>/` for the state of this name; every one knows the data bucket and prefix."""
        return PythonFunction(
            self._functions,
            state,
            name=name,
            description=description,
            environment={**self._environment, **(environment or {})},
            permissions=permissions,
            timeout=timeout,
            memory_mib=memory_mib,
            packages=packages,
            files=files,
        )


class FailureRoute:
    """Where a failed state leads: to `handler`, with the error at `$.failure.<name of the state>`.

    The key tells the notification which state failed, so that states need no handlers of their own.
    """

    def __init__(self, handler: sfn.State) -> None:
        self.handler = handler

    def catch(self, state: sfn.CustomState) -> None:
        """Send every error of this state to the handler."""
        state.add_catch(self.handler, errors=ANY_ERROR, result_path=f"$.failure.{state.node.id}")

    def fail(self, scope: Construct, name: str, *, error: str, cause: str) -> sfn.Pass:
        """Return a state that fails the run; each text may be a JSONPath or an intrinsic function."""
        details = {text_key("Error", error): error, text_key("Cause", cause): cause}
        state = sfn.Pass(scope, name, parameters=details, result_path=f"$.failure.{name}")
        state.next(self.handler)
        return state

    def hand_on(self, scope: Construct, state: str, *, error_at: str) -> sfn.Pass:
        """Return a state that fails the run with the error that `state` left at a JSONPath."""
        details = {"Error.$": f"{error_at}.Error", "Cause.$": f"{error_at}.Cause"}
        failed = sfn.Pass(scope, f"{state}Failed", parameters=details, result_path=f"$.failure.{state}")
        failed.next(self.handler)
        return failed


def text_key(name: str, value: str) -> str:
    """Return the key of a text that may be a JSONPath or an intrinsic function."""
    return f"{name}.$" if value.startswith(("$", "States.Format")) else name


def sagemaker_task(
    scope: RunScope,
    name: str,
    *,
    call: str,
    payload: Mapping[str, Any],
    result_path: str | None = None,
    result_selector: Mapping[str, str] | None = None,
    timeout: cdk.Duration | None = None,
    passing: Sequence[str] = TRANSIENT,
    implied: Sequence[Permission] = (),
) -> sfn.CustomState:
    """Return the state of a SageMaker API call; the state machine's role may then make the call.

    What may pass is retried: a used-up quota for about an hour, anything that may be throttling for minutes. The
    request gets the key and the network of the settings (infra/workflow/protection.py).

    Args:
        scope: The scope of the run's states.
        name: Name of the state.
        call: The API action with a small first letter; with `.sync` the state waits until the job has ended.
        payload: The request as the API takes it; keys that end in `.$` take their value from the state's input.
        result_path: JSONPath at which the response is kept; None drops it.
        result_selector: The members of the response to keep; None keeps all.
        timeout: How long the state may take; None is the time of a plain API call.
        passing: Errors that pass by themselves, and are retried beside a used-up quota.
        implied: What the call needs of its caller besides its own action.
    """
    payload = scope.protection.of(call, payload)
    scope.role.may_call(call, payload, implied=implied)
    integration = "sagemaker" if call in _OPTIMISED else "aws-sdk:sagemaker"
    state_json: dict[str, Any] = {
        "Type": "Task",
        "Resource": f"arn:{cdk.Aws.PARTITION}:states:::{integration}:{call}",
        "Parameters": dict(payload),
        # JSII would drop a None, and without ResultPath the response would replace the state's data.
        "ResultPath": result_path or sfn.JsonPath.DISCARD,
        "TimeoutSeconds": timeout.to_seconds() if timeout else _API_TIMEOUT_SECONDS,
    }
    if result_selector:
        state_json["ResultSelector"] = dict(result_selector)
    state = sfn.CustomState(scope, name, state_json=state_json)
    state.add_retry(
        errors=_NO_QUOTA_LEFT,
        interval=cdk.Duration.minutes(1),
        max_attempts=10,
        backoff_rate=1.5,
        max_delay=cdk.Duration.minutes(10),
    )
    _retry(state, passing, max_attempts=_SAGEMAKER_ATTEMPTS)
    return state


def lambda_task(
    scope: RunScope, function: PythonFunction, *, payload: Mapping[str, Any], result_path: str, name: str | None = None
) -> sfn.CustomState:
    """Return the state that invokes a function. It is named as the function is, unless another name is given.

    Its result is kept at `result_path`. The class name of an exception in the function is the name of the error.
    """
    return _invocation(
        scope,
        function,
        resource=function.arn,
        parameters=payload,
        result_path=result_path,
        # One minute more, so that a function that takes too long ends with Lambda's own message.
        timeout=function.timeout.plus(cdk.Duration.minutes(1)),
        name=name,
    )


def callback_task(
    scope: RunScope,
    function: PythonFunction,
    *,
    payload: Mapping[str, Any],
    result_path: str,
    timeout: cdk.Duration,
) -> sfn.CustomState:
    """Return the state that invokes a function and then waits until somebody sends an answer with the task's token."""
    return _invocation(
        scope,
        function,
        resource=f"arn:{cdk.Aws.PARTITION}:states:::lambda:invoke.waitForTaskToken",
        parameters={"FunctionName": function.arn, "Payload": dict(payload)},
        result_path=result_path,
        timeout=timeout,
    )


def _invocation(
    scope: RunScope,
    function: PythonFunction,
    *,
    resource: str,
    parameters: Mapping[str, Any],
    result_path: str,
    timeout: cdk.Duration,
    name: str | None = None,
) -> sfn.CustomState:
    scope.role.may_invoke(function.arn)
    state = sfn.CustomState(
        scope,
        name or function.node.id,
        state_json={
            "Type": "Task",
            "Resource": resource,
            "Parameters": dict(parameters),
            "ResultPath": result_path,
            "TimeoutSeconds": timeout.to_seconds(),
        },
    )
    _retry(state, _LAMBDA_TRANSIENT, max_attempts=_LAMBDA_ATTEMPTS)
    return state


def _retry(state: sfn.CustomState, errors: Sequence[str], *, max_attempts: int) -> None:
    state.add_retry(
        errors=list(errors),
        interval=cdk.Duration.seconds(2),
        max_attempts=max_attempts,
        backoff_rate=2,
        jitter_strategy=sfn.JitterType.FULL,
    )
