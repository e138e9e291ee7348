"""The state machine on the local cloud's own interpreter, with faked tasks and without pauses."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.infra.asl_walker import Task, TaskError

__all__ = ["Ended", "interpret"]

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How an execution went."""

    status: str
    error: str | None
    cause: str | None
    path: list[str]
    """The states that were entered."""
    events: int
    """Events in the execution's history."""
    calls: list[str] = field(default_factory=list)
    """The tasks that were called, each attempt of its own."""
    payloads: dict[str, Any] = field(default_factory=dict)
    """The last payload of each task."""


def interpret(definition: Mapping[str, Any], tasks: Mapping[str, Task], given: Any = None) -> Ended:
    """Run the state machine; `tasks` has the fake of each Task state by name, which gets the rendered payload."""
    python = _ROOT / ".envs" / "cloud" / "bin" / "python"
    process = subprocess.Popen(
        [python, "-m", "tests.infra.ministack_run"],
        cwd=_ROOT,
        env={**os.environ, "SFN_WAIT_SCALE": "0", "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    calls: list[str] = []
    payloads: dict[str, Any] = {}
    with process:
        print(json.dumps({"definition": definition, "input": given or {}}), file=process.stdin, flush=True)
        for line in process.stdout:
            # the interpreter logs to the same stream
            if not line.startswith("{"):
                continue
            said = json.loads(line)
            if "ended" in said:
                ended = said["ended"]
                return Ended(
                    status=ended["status"],
                    error=ended["error"],
                    cause=ended["cause"],
                    path=ended["path"],
                    events=ended["events"],
                    calls=calls,
                    payloads=payloads,
                )
            calls.append(said["task"])
            payloads[said["task"]] = said["payload"]
            print(json.dumps(_answer(tasks, said)), file=process.stdin, flush=True)
        assert process.stderr is not None
        raise AssertionError(f"the interpreter ended early: {process.stderr.read()[-3000:]}")


def _answer(tasks: Mapping[str, Task], said: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"answer": tasks[said["task"]](said["payload"])}
    except TaskError as failure:
        return {"error": failure.error, "cause": failure.cause}
