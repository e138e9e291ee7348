"""Runs one execution on ministack's interpreter, in the local cloud's environment, for tests/infra/interpreter.py.

The first line of standard input is `{"definition": …, "input": …}`. Each task is then written to standard output as
`{"task": NAME, "payload": …}` and answered by a line with `{"answer": …}` or `{"error": …, "cause": …}`. The last line
written is `{"ended": …}`. Pauses are left out with SFN_WAIT_SCALE=0.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from local.cloud import seam
from local.cloud.stepfunctions import definitions, jsonpaths

_MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:whippet-dev"
_EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:whippet-dev:run-1"


def main() -> None:
    """Run the execution that standard input describes."""
    given = json.loads(sys.stdin.readline())
    states = seam.module("services.stepfunctions")
    jsonpaths.apply()
    current = {"name": ""}
    _answer_tasks(states, current)
    states._emit_execution_status_event = lambda execution: None

    wrong = definitions.problems(json.dumps(given["definition"]))
    assert not wrong, wrong
    execution: dict[str, Any] = {
        "executionArn": _EXECUTION,
        "name": "run-1",
        "stateMachineArn": _MACHINE,
        "startDate": "2026-11-28T21:00:00.123Z",
        "status": "RUNNING",
        "input": json.dumps(given["input"]),
        "events": [],
    }
    states._state_machines[_MACHINE] = {"definition": json.dumps(given["definition"]), "name": "whippet-dev"}
    states._executions[_EXECUTION] = execution
    states._run_execution(_EXECUTION)

    entered = [event["stateEnteredEventDetails"]["name"] for event in execution["events"] if "Entered" in event["type"]]
    kept = {name: execution.get(name) for name in ("status", "error", "cause", "output")}
    _write({"ended": {**kept, "path": entered, "events": len(execution["events"])}})


def _answer_tasks(states: Any, current: dict[str, str]) -> None:
    """Let every Task state be answered through standard input and output."""
    execute = seam.expect(states, "_execute_task", "state_def", "raw_input", "execution", "ctx")
    seam.expect(states, "_invoke_resource_with_timeout", "resource", "input_data", "timeout")
    seam.expect(states, "_invoke_with_callback")

    def execute_task(state_def: Any, raw_input: Any, execution: Any, ctx: Any) -> Any:
        current["name"] = ctx["State"]["Name"]
        return execute(state_def, raw_input, execution, ctx)

    def ask(payload: Any) -> Any:
        _write({"task": current["name"], "payload": payload})
        answered = json.loads(sys.stdin.readline())
        if "error" in answered:
            raise states._ExecutionError(answered["error"], answered["cause"])
        return answered["answer"]

    states._execute_task = execute_task
    states._invoke_resource_with_timeout = lambda resource, payload, timeout: ask(payload)
    states._invoke_with_callback = lambda resource, payload, token, state_def: ask(payload["Payload"])


def _write(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
