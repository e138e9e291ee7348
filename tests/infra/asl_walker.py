"""Walk a state machine's definition with faked tasks: as much of the Amazon States Language as the run uses."""

from __future__ import annotations

import copy
import fnmatch
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:whippet-dev:run-1"
TOKEN = "token-1"
_CONTEXT = {
    "Execution": {"Name": "run-1", "Id": EXECUTION, "StartTime": "2026-11-28T21:00:00.123Z"},
    "State": {"EnteredTime": "2026-11-28T22:00:00.123Z"},
    "Task": {"Token": TOKEN},
    "StateMachine": {"Id": "arn:aws:states:eu-west-1:123456789012:stateMachine:whippet-dev"},
}


class TaskError(Exception):
    """The error of a faked task: its name and cause."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(cause)
        self.error, self.cause = error, cause


class StoppedError(Exception):
    """Somebody stops the execution while a faked task is under way: no Retry and no Catch runs any more."""


Task = Callable[[dict[str, Any]], Any]


@dataclass
class Walk:
    """How an execution went: the states it passed, the payloads of its tasks, and its end."""

    path: list[str] = field(default_factory=list)
    payloads: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    waited: float = 0
    """Seconds that Wait states and the pauses of Retry took, without jitter."""
    output: Any = None
    """The data at the last state: the output of an execution that succeeded, the input of one that was stopped."""
    status: str = ""
    error: str = ""
    cause: str = ""


class MissingPathError(Exception):
    """A path that finds nothing: the runtime error of Step Functions, which no Catch takes."""


def walk(definition: Mapping[str, Any], tasks: Mapping[str, Task], start_input: Any, *, limit: int = 400) -> Walk:
    """Run the state machine; `tasks` has the fake of each Task state by name, which gets the rendered payload.

    A fake that raises is called again as the state's Retry says; the walk adds the pauses up instead of sleeping.
    """
    result, name, data = Walk(), definition["StartAt"], copy.deepcopy(start_input)
    while len(result.path) < limit:
        state = definition["States"][name]
        result.path.append(name)
        kind = state["Type"]

        # the end
        if kind in ("Succeed", "Fail"):
            result.status, result.output = "SUCCEEDED" if kind == "Succeed" else "FAILED", data
            if kind == "Fail":
                result.error, result.cause = look_up(state["ErrorPath"], data), look_up(state["CausePath"], data)
                assert isinstance(result.error, str)
                assert isinstance(result.cause, str)
            return result

        # one state further
        if kind == "Choice":
            name = next((rule["Next"] for rule in state["Choices"] if holds(rule, data)), state["Default"])
        elif kind == "Wait":
            result.waited += state["Seconds"]
            name = state["Next"]
        elif kind == "Pass":
            value = render(state["Parameters"], data) if "Parameters" in state else state.get("Result", data)
            data, name = place(state.get("ResultPath", "$"), data, value), state["Next"]
        else:
            try:
                data, name = _task(name, state, data, tasks, result)
            except StoppedError:
                result.status, result.output = "ABORTED", data
                return result
    raise AssertionError(f"no end after {limit} states: … {' → '.join(result.path[-10:])}")


def _task(name: str, state: Mapping[str, Any], data: Any, tasks: Mapping[str, Task], result: Walk) -> tuple[Any, str]:
    payload = render(state["Parameters"], data)
    if state["Resource"].endswith("lambda:invoke.waitForTaskToken"):
        payload = payload["Payload"]
    result.payloads.append((name, payload))
    retries: Counter[int] = Counter()
    while True:
        try:
            answer = tasks[name](payload)
            break
        except TaskError as failure:
            if _retries(state, failure, retries, result):
                continue
            for catcher in state["Catch"]:
                if matches(catcher["ErrorEquals"], failure.error):
                    details = {"Error": failure.error, "Cause": failure.cause}
                    return place(catcher.get("ResultPath", "$"), data, details), catcher["Next"]
            raise
    if "ResultSelector" in state:
        answer = render(state["ResultSelector"], answer)
    return place(state.get("ResultPath", "$"), data, answer), state["Next"]


def _retries(state: Mapping[str, Any], failure: TaskError, counts: Counter[int], result: Walk) -> bool:
    """Whether the state's Retry lets the task be tried again; the first entry that matches the error decides."""
    for index, retrier in enumerate(state.get("Retry", [])):
        if matches(retrier["ErrorEquals"], failure.error):
            if counts[index] >= retrier.get("MaxAttempts", 3):
                return False
            pause = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** counts[index]
            result.waited += min(pause, retrier.get("MaxDelaySeconds", pause))
            counts[index] += 1
            return True
    return False


def matches(names: Sequence[str], error: str) -> bool:
    """Whether ErrorEquals matches an error ("Handling errors in Step Functions workflows")."""
    return error in names or "States.ALL" in names or ("States.TaskFailed" in names and error != "States.Timeout")


def render(template: Any, data: Any) -> Any:
    """Fill in Parameters or ResultSelector: keys that end in `.$` are paths or intrinsic functions."""
    if isinstance(template, list):
        return [render(item, data) for item in template]
    if not isinstance(template, dict):
        return template
    return {
        key.removesuffix(".$"): evaluate(value, data) if key.endswith(".$") else render(value, data)
        for key, value in template.items()
    }


def evaluate(expression: str, data: Any) -> Any:
    match = re.fullmatch(r"States\.Format\('(.*)', (\$.*)\)", expression)
    if match:
        values = (str(look_up(path.strip(), data)) for path in match[2].split(","))
        return re.sub(r"\{\}", lambda _: next(values), match[1])
    if match := re.fullmatch(r"States\.JsonToString\((\$.*)\)", expression):
        return json.dumps(look_up(match[1], data))
    if match := re.fullmatch(r"States\.MathAdd\((\$.*), (\d+)\)", expression):
        return look_up(match[1], data) + int(match[2])
    return look_up(expression, data)


def look_up(path: str, data: Any) -> Any:
    if path.startswith("$$"):
        path, data = path[1:], _CONTEXT
    if "[*]" in path:
        items, _, rest = path.partition("[*]")
        return [look_up(f"${rest}", item) for item in look_up(items, data)]
    for part in re.findall(r"\w+", path.removeprefix("$")):
        found: Any = int(part) if isinstance(data, list) and part.isdecimal() else part
        try:
            data = data[found]
        except (KeyError, IndexError, TypeError):
            raise MissingPathError(f"States.Runtime: {path} is not in the state's input") from None
    return copy.deepcopy(data)


def place(path: str | None, data: Any, value: Any) -> Any:
    if path is None:
        return data
    if path == "$":
        return value
    data = copy.deepcopy(data)
    *parents, last = path.removeprefix("$.").split(".")
    node = data
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    return data


def holds(rule: Mapping[str, Any], data: Any) -> bool:
    if "And" in rule:
        return all(holds(part, data) for part in rule["And"])
    if "Or" in rule:
        return any(holds(part, data) for part in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], data)
    if "IsPresent" in rule:
        try:
            look_up(rule["Variable"], data)
        except MissingPathError:
            return not rule["IsPresent"]
        return bool(rule["IsPresent"])
    value = look_up(rule["Variable"], data)
    if "StringEquals" in rule:
        return bool(value == rule["StringEquals"])
    if "StringEqualsPath" in rule:
        return bool(value == look_up(rule["StringEqualsPath"], data))
    if "StringMatches" in rule:
        return fnmatch.fnmatchcase(value, rule["StringMatches"])
    if "NumericLessThan" in rule:
        return bool(value < rule["NumericLessThan"])
    if "NumericGreaterThan" in rule:
        return bool(value > rule["NumericGreaterThan"])
    if "NumericGreaterThanEquals" in rule:
        return bool(value >= rule["NumericGreaterThanEquals"])
    if "BooleanEquals" in rule:
        return bool(value == rule["BooleanEquals"])
    raise AssertionError(f"no such comparison here: {rule}")
