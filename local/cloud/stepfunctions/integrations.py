"""Step Functions: the SageMaker integrations, time-outs, stopped executions and the limit of payloads."""

from __future__ import annotations

import contextvars
import json
import threading
import time
from typing import Any, Final

from local import clock
from local.cloud import seam
from local.cloud.autoscaling.service import Autoscaling
from local.cloud.autoscaling.targets import AutoscalingError
from local.cloud.sagemaker import call as call_sagemaker
from local.cloud.sagemaker import check_trust
from local.cloud.stepfunctions import attempt, definitions, errors, executions, faults, permissions, roles, tokens
from local.sagemaker import SageMaker, SageMakerError

__all__ = ["apply"]

_OPTIMIZED: Final = (
    "createTrainingJob",
    "createHyperParameterTuningJob",
    "createProcessingJob",
    "createModel",
    "createEndpointConfig",
    "createEndpoint",
    "updateEndpoint",
)
_JOBS: Final = ("TrainingJob", "HyperParameterTuningJob", "ProcessingJob")
_POLL_SECONDS: Final = 0.25
_MAX_PAYLOAD_BYTES: Final = 256 * 1024
"""Quota of Step Functions: the input or output of a state."""


def apply(sagemaker: SageMaker, scaling: Autoscaling) -> None:
    """Replace parts of ministack's interpreter.

    Raises:
        SeamError: the interpreter is not the expected one.
    """
    states = seam.module("services.stepfunctions")
    seam.expect(states, "_ExecutionError", "error", "cause")
    _check_definitions(states)
    executions.apply(states)
    _follow_executions(states)
    _add_integrations(states, sagemaker, scaling)
    # before the permissions, which are checked first
    faults.apply(states, sagemaker.account.faults)
    roles.apply(states, sagemaker, scaling)
    tokens.apply(states)


def _check_definitions(states: Any) -> None:
    """Let CreateStateMachine and UpdateStateMachine refuse an invalid definition."""
    validate = seam.expect(states, "_validate_definition_jsonata", "definition_str")

    def validate_definition(definition_str: Any) -> str | None:
        found = definitions.problems(definition_str) if definition_str is not None else []
        if found:
            return f"Invalid State Machine Definition: '{', '.join(found)}'"
        refusal: str | None = validate(definition_str)
        return refusal

    states._validate_definition_jsonata = validate_definition


def _follow_executions(states: Any) -> None:
    """Remember the execution of each task, end tasks of stopped and timed-out executions, and limit payloads."""
    execute = seam.expect(states, "_execute_task", "state_def", "raw_input", "execution", "ctx")
    run = seam.expect(states, "_run_execution", "exec_arn")
    fail = seam.expect(states, "_fail_execution", "execution", "error", "cause")
    with_timeout = seam.expect(states, "_invoke_resource_with_timeout", "resource", "input_data", "timeout")
    for name in ("_executions", "_state_machines"):
        seam.expect(states, name)
    seam.expect(states, "_add_event", "execution", "event_type", "details")
    seam.expect(states, "_emit_execution_status_event", "execution")
    seam.expect(states, "now_iso")

    def execute_task(state_def: Any, raw_input: Any, execution: Any, ctx: Any) -> tuple[Any, Any]:
        token = attempt.current.set(attempt.Attempt(execution))
        try:
            output, following = execute(state_def, raw_input, execution, ctx)
        except attempt.OverError:
            # an error of its own, since neither Retry nor Catch may run for an execution that is over
            raise states._ExecutionError("States.Aborted", "the execution is over") from None
        finally:
            attempt.current.reset(token)

        size = len(json.dumps(output).encode())
        if size > _MAX_PAYLOAD_BYTES:
            raise states._ExecutionError(
                "States.DataLimitExceeded",
                f"The state/task '{ctx['State']['Name']}' returned a result with a size exceeding the maximum number "
                f"of bytes service limit ({size} of {_MAX_PAYLOAD_BYTES}).",
            )
        return output, following

    def fail_execution(execution: Any, error: Any, cause: Any) -> None:
        # an execution that was stopped or timed out keeps that status, whatever its last task does
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)
            # ministack puts the error there; on AWS, only an execution that succeeded has an output
            execution["output"] = None

    def invoke_with_timeout(resource: Any, input_data: Any, timeout: Any) -> Any:
        # a job's time-out follows the clock; that of a single answer does not, which takes as long as it takes
        limit = clock.real(timeout) if str(resource).endswith(".sync") else timeout
        try:
            return with_timeout(resource, input_data, limit)
        except states._ExecutionError as error:
            task = attempt.current.get()
            if task and error.error == "States.Timeout":
                task.timed_out.set()
                # a Retry makes another attempt, with a time-out of its own
                attempt.current.set(attempt.Attempt(task.execution))
            raise

    def run_execution(exec_arn: str) -> None:
        execution = states._executions.get(exec_arn)
        machine = states._state_machines.get(execution["stateMachineArn"]) if execution else None
        limit = json.loads(machine["definition"]).get("TimeoutSeconds") if machine else None
        timer: threading.Timer | None = None
        if limit is not None:
            context = contextvars.copy_context()
            timer = threading.Timer(clock.real(float(limit)), context.run, (_time_out, states, execution))
            timer.daemon = True
            timer.start()
        try:
            run(exec_arn)
        finally:
            if timer:
                timer.cancel()

    states._execute_task = execute_task
    states._fail_execution = fail_execution
    states._invoke_resource_with_timeout = invoke_with_timeout
    states._run_execution = run_execution


def _time_out(states: Any, execution: dict[str, Any]) -> None:
    """End an execution that ran longer than its state machine's `TimeoutSeconds`."""
    if execution["status"] != "RUNNING":
        return
    execution.update(status="TIMED_OUT", error="States.Timeout", stopDate=states.now_iso())
    states._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {"error": "States.Timeout"}})
    states._emit_execution_status_event(execution)


def _add_integrations(states: Any, sagemaker: SageMaker, scaling: Autoscaling) -> None:
    """Add the resources `arn:aws:states:::sagemaker:…` and `arn:aws:states:::aws-sdk:sagemaker:…`."""
    dispatch = seam.expect(states, "_SERVICE_DISPATCH")
    sdk_call = seam.expect(states, "_invoke_aws_sdk_integration", "resource", "input_data")

    def call(resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
        task = permissions.parse(resource)
        if task is None:
            raise states._ExecutionError("States.Runtime", f"{resource} is not a SageMaker integration")

        try:
            check_trust(task.operation, parameters)
            result = faults.sagemaker_call(
                states,
                sagemaker.account.faults,
                task.operation,
                lambda: call_sagemaker(sagemaker, scaling, task.operation, parameters),
            )
        except SageMakerError as error:
            raise states._ExecutionError(
                errors.name(error.code, sdk=task.sdk),
                errors.cause(error.message, code=error.code, status=error.status, sdk=task.sdk),
            ) from None

        kind = task.operation.removeprefix("Create")
        if task.sync and kind in _JOBS:
            return _wait(states, sagemaker, kind, str(parameters[f"{kind}Name"]))
        return errors.shown(task.operation, result, sdk=task.sdk)

    def scale(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            return scaling.call(operation, parameters)
        except AutoscalingError as error:
            cause = errors.cause(error.message, code=error.code, status=400, sdk=True)
            raise states._ExecutionError(
                faults.error_name("application-autoscaling", error.code, sdk=True), cause
            ) from None

    def invoke_sdk(resource: str, input_data: dict[str, Any]) -> Any:
        task = permissions.parse(resource)
        if task and task.service == "sagemaker":
            return call(resource, input_data)
        if task and task.service == permissions.AUTOSCALING:
            return scale(task.operation, input_data)
        return sdk_call(resource, input_data)

    for operation in _OPTIMIZED:
        dispatch[f"arn:aws:states:::sagemaker:{operation}"] = call
    # ministack takes the first prefix that matches, so createEndpointConfig must come before createEndpoint
    for key in sorted(dispatch, key=len, reverse=True):
        dispatch[key] = dispatch.pop(key)
    states._invoke_aws_sdk_integration = invoke_sdk


def _wait(states: Any, sagemaker: SageMaker, kind: str, name: str) -> dict[str, Any]:
    """Wait for a job to end (`.sync`), and return its description. Stop the job if the execution is stopped.

    Raises:
        _ExecutionError: States.TaskFailed with the description as cause, because the job did not complete.
        OverError: the attempt is over before the job is. A job whose state or execution timed out runs on, as on AWS.
    """
    which = {f"{kind}Name": name}
    while True:
        description = sagemaker.call(f"Describe{kind}", which)
        status = description[f"{kind}Status"]
        if status in ("Completed", "Failed", "Stopped"):
            break
        task = attempt.current.get()
        if task and task.over:
            if task.aborted and status != "Stopping":
                sagemaker.call(f"Stop{kind}", which)
            raise attempt.OverError
        time.sleep(_POLL_SECONDS)
    answer = errors.shown(f"Describe{kind}", description, sdk=False)
    if status != "Completed":
        raise states._ExecutionError("States.TaskFailed", json.dumps(answer, default=str))
    return answer
