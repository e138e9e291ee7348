"""`.waitForTaskToken`: a task that ends when its token is sent back.

Here ministack does not check the state machine's role, ignores what the function raises, waits on after the execution
is over, and needs a permission on `*` to send a token. This module corrects all that. HeartbeatSeconds has no effect.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, Final

from local import clock
from local.cloud import seam
from local.cloud.named_resources import Request, name_resources
from local.cloud.stepfunctions import attempt

__all__ = ["apply"]

_POLL_SECONDS: Final = 0.25
_LONGEST_SECONDS: Final = 365 * 24 * 3600.0
"""Quota of Step Functions: the duration of an execution, a year."""

_SENDERS: Final = ("SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat")


def apply(states: Any) -> None:
    """Replace how ministack waits for tokens, and how it answers and authorises those who send one."""
    # the ARN of each token's state machine, also after its task is over
    machines: dict[str, str] = {}
    _wait_for_tokens(states, machines)
    _refuse_late_tokens(states, machines)
    _name_resources(machines)


def _wait_for_tokens(states: Any, machines: dict[str, str]) -> None:
    seam.expect(states, "_invoke_with_callback", "resource", "input_data", "token", "state_def")
    seam.expect(states, "_task_tokens")

    def invoke_with_callback(resource: str, input_data: Any, token: str, state_def: Mapping[str, Any]) -> Any:
        task = attempt.current.get()
        if task is not None:
            machines[token] = str(task.execution["stateMachineArn"])
        deadline = clock.monotonic() + float(state_def.get("TimeoutSeconds", _LONGEST_SECONDS))
        sent = threading.Event()
        waiting: dict[str, Any] = {"event": sent, "result": None, "error": None, "heartbeat": None}
        states._task_tokens[token] = waiting

        try:
            # as any other task, so that permissions are checked and errors raised
            states._invoke_resource(resource.replace(".waitForTaskToken", ""), input_data)
            while not sent.wait(_POLL_SECONDS):
                if task is not None and task.over:
                    raise attempt.OverError
                if clock.monotonic() >= deadline:
                    raise states._ExecutionError("States.Timeout", "")
        finally:
            states._task_tokens.pop(token, None)

        if waiting["error"]:
            raise states._ExecutionError(waiting["error"]["Error"], waiting["error"]["Cause"])
        return json.loads(waiting["result"])

    states._invoke_with_callback = invoke_with_callback


def _refuse_late_tokens(states: Any, machines: Mapping[str, str]) -> None:
    """Answer TaskTimedOut for the token of a task that is over, and refuse an output that is not JSON."""
    refuse = seam.expect(states, "error_response_json", "code", "message", "status")
    for sender in ("_send_task_success", "_send_task_failure", "_send_task_heartbeat"):
        send = seam.expect(states, sender, "data")

        def send_in_time(data: dict[str, Any], send: Any = send) -> Any:
            token = data.get("taskToken", "")
            if token in machines and token not in states._task_tokens:
                return refuse("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'", 400)
            try:
                json.loads(data.get("output", "{}"))
            except ValueError:
                return refuse("InvalidOutput", f"Invalid Output: '{data['output']}' is not JSON", 400)
            return send(data)

        setattr(states, sender, send_in_time)


def _name_resources(machines: Mapping[str, str]) -> None:
    """Authorise sending a token on the state machine that issued it, as `grant_task_response` of the CDK grants it."""

    def resource_of(request: Request) -> str | None:
        if request.operation not in _SENDERS:
            return None
        try:
            return machines.get(str(json.loads(request.body)["taskToken"]), "*")
        except (ValueError, KeyError, TypeError):
            return "*"  # the service itself refuses the request

    name_resources("states", resource_of)
