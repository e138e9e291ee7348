"""Every command with every fault of microburst's: cells of a table, run side by side, each with what came of it."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.system.faults.command import CRASHED, Ended, Running
from tests.system.faults.microburst import Microburst
from tests.system.faults.stand import Stand
from tests.system.faults.verbs import Prepared, Verb

__all__ = ["LASTING", "PASSING", "Cell", "Operation", "run_cells"]

LOST: Final = "answer lost"

PASSING: Final[dict[str, dict[str, Any]]] = {
    "throttled": {"error": {"code": "ThrottlingException"}},
    "internal error": {"error": {"code": "InternalFailure", "status": 500}},
    "unavailable": {"error": {"code": "ServiceUnavailable", "status": 503}},
    "timed out": {"timeout_ms": 50},
    "dropped": {"reset": True},
    LOST: {"response": {"abort_bytes": 0}},
}
"""What passes: it meets each operation's first request, and the SDK asks again."""

LASTING: Final[dict[str, dict[str, Any]]] = {
    "denied": {"error": {"code": "AccessDeniedException", "message": "not authorized to do that"}},
    "throttled for good": PASSING["throttled"],
    "internal error for good": PASSING["internal error"],
    "dropped for good": PASSING["dropped"],
}
"""What stays: it meets every request of one operation."""

_SIDE_BY_SIDE: Final = 8
"""Commands at once: most of their time they wait to ask again."""

_SECONDS: Final = 180
"""For one command."""


@dataclass(frozen=True, order=True)
class Operation:
    """An operation as microburst names it, which knows none of sagemaker-runtime's."""

    service: str
    name: str

    def rule(self, mark: str) -> dict[str, Any]:
        """Return what matches this operation's requests of one command."""
        known: dict[str, Any] = {"service": self.service, "headers": {"user-agent": f"app/{mark}"}}
        if self.name:
            return {**known, "operation": self.name}
        return {**known, "headers": {**known["headers"], "content-type": "application/octet-stream"}}

    def __str__(self) -> str:
        return f"{self.service}:{self.name or 'InvokeEndpoint'}"


@dataclass
class Cell:
    """One command under one fault; under none, its operations are noted."""

    verb: Verb
    faults: Mapping[Operation, str] = field(default_factory=dict)
    """What meets the requests of which operations."""
    ended: Ended | None = None
    fired: Counter[Operation] = field(default_factory=Counter)
    """Requests that their faults met, by microburst's own log."""
    passed: Counter[Operation] = field(default_factory=Counter)
    """Requests that were let through, by the same."""
    problems: list[str] = field(default_factory=list)
    """What is not as promised."""

    def __str__(self) -> str:
        met = [f"{operation} {fault}" for operation, fault in self.faults.items()]
        return f"whippet {self.verb.words}, {', '.join(met) or 'no fault'}"

    @property
    def lasts(self) -> bool:
        """Whether its faults stay."""
        return any(fault in LASTING for fault in self.faults.values())

    def rules(self, mark: str) -> list[dict[str, Any]]:
        """The fault's rules, and behind them one that lets everything through and notes it."""
        met = []
        for operation, name in self.faults.items():
            times = {"times": 1} if name in PASSING else {}
            met.append({**operation.rule(mark), **_worded(operation, PASSING.get(name) or LASTING[name]), **times})
        return [*met, {"service": "*", "headers": {"user-agent": f"app/{mark}"}, "latency": 0.001}]

    def judge(self, prepared: Prepared) -> None:
        """Hold what came of it against what is promised."""
        ended, complain = self.ended, self.problems.append
        assert ended is not None
        if ended.status == CRASHED or "Traceback" in ended.said:
            complain("it crashed")
        if unmet := [operation for operation in self.faults if not self.fired[operation]]:
            complain(f"no request of {', '.join(map(str, unmet))} met its fault")
        # an answer without a body cannot be cut off, and is not lost
        unasked = [each for each, fault in self.faults.items() if fault != LOST and not self.passed[each]]
        if unasked and not self.lasts:
            complain(f"nobody asked again: {', '.join(map(str, unasked))}")
        if not self.lasts and ended.status != 0:
            complain("it failed")

        if ended.status == 0:
            if not prepared.done():
                complain("it says that all is well, and what it is there for is not done, or more than once")
            return
        lines = [line for line in ended.err.splitlines() if line.strip()]
        if not lines or not lines[-1].startswith(("error: ", "AWS answered: ", "AWS did not answer: ")):
            complain("it does not end with an error")
        if prepared.begun() and prepared.tells not in ended.said:
            complain("it does not tell what it has begun")

    @property
    def failed(self) -> bool:
        return self.ended is not None and self.ended.status != 0

    def judge_again(self, ended: Ended, prepared: Prepared) -> None:
        """Hold what came of the same command without a fault: it goes on, or says that all was done."""
        if ended.status == 0 and not prepared.done():
            self.problems.append(f"the same command again does not mend it: {ended.said}")
        elif ended.status != 0 and not prepared.begun():
            self.problems.append(f"the same command again fails: {ended.said}")


def _worded(operation: Operation, fault: dict[str, Any]) -> dict[str, Any]:
    """Return a fault in the operation's service's own words: S3 has names of its own."""
    names = {"ThrottlingException": ("SlowDown", 503), "AccessDeniedException": ("AccessDenied", 403)}
    error = fault.get("error")
    if error is None or operation.service != "s3" or error["code"] not in names:
        return fault
    code, status = names[error["code"]]
    return {"error": {**error, "code": code, "status": status}}


@dataclass
class _Started:
    cell: Cell
    prepared: Prepared
    command: Running
    mark: str
    rules: list[int]
    deadline: float
    again: bool = False
    """Whether it is the second command, without a fault."""


def run_cells(
    cells: Sequence[Cell], *, stands: Mapping[str, Stand], proxy: Microburst, folder: Path, again: bool
) -> None:
    """Run cells, several at a time, and judge each; with `again`, a command that failed is run once more without fault.

    A command's requests are known by their user agent, so that no command meets the fault of another one.
    """
    waiting, going_on = list(cells), list[_Started]()
    numbers = itertools.count()
    while waiting or going_on:
        for cell in _startable(waiting, going_on):
            waiting.remove(cell)
            mark = f"{folder.name}-{next(numbers):05}"
            own = folder / mark
            own.mkdir(parents=True)
            prepared = cell.verb.prepare(stands[cell.verb.env], mark, own)
            going_on.append(_start(cell, prepared, mark, proxy=proxy, folder=own / "said"))

        time.sleep(0.02)
        for started in [each for each in going_on if _has_ended(each)]:
            going_on.remove(started)
            if started.again:
                continue
            _note(started, proxy)
            started.cell.judge(started.prepared)
            if again and started.prepared.repeatable and started.cell.failed and not started.cell.problems:
                second = folder / started.mark / "again"
                command = _command(started.cell, started.prepared, mark="again", folder=second)
                deadline = time.monotonic() + _SECONDS
                going_on.append(replace(started, command=command, rules=[], deadline=deadline, again=True))


def _startable(waiting: Sequence[Cell], going_on: Sequence[_Started]) -> Iterator[Cell]:
    """Yield the cells to start."""
    taken = {each.cell.verb.env for each in going_on}
    room = _SIDE_BY_SIDE - len(going_on)
    for cell in list(waiting):
        env = cell.verb.env
        if room > 0 and (env == "dev" or env not in taken):
            taken.add(env)
            room -= 1
            yield cell


def _start(cell: Cell, prepared: Prepared, mark: str, *, proxy: Microburst, folder: Path) -> _Started:
    rules = proxy.add(cell.rules(mark))
    command = _command(cell, prepared, mark=mark, folder=folder)
    return _Started(cell, prepared, command, mark, rules, time.monotonic() + _SECONDS)


def _command(cell: Cell, prepared: Prepared, *, mark: str, folder: Path) -> Running:
    return Running(["--env", cell.verb.env, *prepared.arguments], mark=mark, folder=folder)


def _has_ended(started: _Started) -> bool:
    pid, status = os.waitpid(started.command.pid, os.WNOHANG)
    if pid:
        ended = started.command.ended(status)
        if started.again:
            started.cell.judge_again(ended, started.prepared)
        else:
            started.cell.ended = ended
        return True
    assert time.monotonic() < started.deadline, f"{started.cell} does not end"
    return False


def _note(started: _Started, proxy: Microburst) -> None:
    """Read the proxy's log of the cell's rules, and remove them."""
    *faults, trace = started.rules
    for counter, rules in ((started.cell.fired, faults), (started.cell.passed, [trace])):
        for rule in rules:
            counter.update(Operation(each["service"], each["operation"] or "") for each in proxy.fired(rule))
    proxy.remove([{"headers": rule["headers"]} for rule in started.cell.rules(started.mark)])


def operations(cell: Cell) -> list[Operation]:
    """Return the operations that a command called."""
    return sorted(cell.passed)


def told(cells: Iterable[Cell]) -> str:
    """Return how many cells there were and how many faults were met, by fault."""
    commands, faults, well = Counter[str](), Counter[str](), Counter[str]()
    for cell in cells:
        for name in set(cell.faults.values()) or {"no fault"}:
            commands[name] += 1
            well[name] += cell.ended is not None and cell.ended.status == 0
        for operation, name in cell.faults.items():
            faults[name] += cell.fired[operation]
    return "\n".join(
        f"{name:24} {count:4} commands {faults[name]:5} requests met it {well[name]:4} ended well"
        for name, count in commands.items()
    )
