"""StartExecution: its checks of name and input, and its idempotence, which ministack does not have.

The rules are those of the API reference of StartExecution.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from local.cloud import seam

__all__ = ["apply"]

_MAX_NAME: Final = 80
_MAX_INPUT_BYTES: Final = 262_144
_FORBIDDEN_IN_NAMES: Final = re.compile(
    r"""[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\U0010ffff]"""
)


def apply(states: Any) -> None:
    """Let StartExecution and StartSyncExecution refuse what AWS refuses, and StartExecution be idempotent."""
    refuse = seam.expect(states, "error_response_json", "code", "message", "status")
    answer = seam.expect(states, "json_response", "data")
    resolve = seam.expect(states, "_resolve_state_machine_arn", "arn")
    seam.expect(states, "_executions")

    for name in ("_start_execution", "_start_sync_execution"):
        start = seam.expect(states, name, "data")

        def start_execution(data: dict[str, Any], start: Any = start, *, idempotent: bool = "sync" not in name) -> Any:
            if problem := _problem(data):
                return refuse(*problem, 400)

            running = _running(states, resolve(data.get("stateMachineArn", "")), data) if idempotent else None
            if running is not None:
                return answer({"executionArn": running["executionArn"], "startDate": running["startDate"]})
            return start(data)

        setattr(states, name, start_execution)


def _problem(data: dict[str, Any]) -> tuple[str, str] | None:
    """Return the code and the message of the error with which AWS refuses the request; None if it does not."""
    name = data.get("name")
    if name is not None and (not 1 <= len(name) <= _MAX_NAME or _FORBIDDEN_IN_NAMES.search(name)):
        return "InvalidName", f"Invalid Name: '{name}'"

    given = data.get("input", "{}")
    if len(given.encode()) > _MAX_INPUT_BYTES:
        return "ValidationException", (
            "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less "
            f"than or equal to {_MAX_INPUT_BYTES}"
        )
    try:
        json.loads(given, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'"
    return None


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"Unrecognized token '{text}'")


def _running(states: Any, machine: str | None, data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the running execution of the same name with the same input, which the call does not start again."""
    for execution in states._executions.values() if machine and data.get("name") else ():
        if (execution["stateMachineArn"], execution["name"]) == (machine, data["name"]):
            same = execution["status"] == "RUNNING" and execution["input"] == data.get("input", "{}")
            return dict(execution) if same else None
    return None
