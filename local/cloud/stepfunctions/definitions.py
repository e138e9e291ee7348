"""Check the definition of a state machine when it is created, as AWS does; ministack accepts any text.

The messages follow those of the error InvalidDefinition of CreateStateMachine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["problems"]

_TYPES: Final = ("Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map")
_TERMINAL: Final = ("Succeed", "Fail")
_REQUIRED: Final = {"Task": ("Resource",), "Choice": ("Choices",), "Parallel": ("Branches",)}
_ONE_OF: Final = {
    "Wait": ("Seconds", "SecondsPath", "Timestamp", "TimestampPath"),
    "Map": ("ItemProcessor", "Iterator"),
}


def problems(definition: str) -> list[str]:
    """Return what is wrong with a definition; an empty list if nothing is."""
    try:
        machine = json.loads(definition)
    except (TypeError, ValueError) as error:
        return [f"INVALID_JSON_DESCRIPTION: {error}"]
    if not isinstance(machine, dict):
        return ["INVALID_JSON_DESCRIPTION: the definition is not a JSON object"]
    return list(_machine(machine, "", {}))


def _machine(machine: Mapping[str, Any], path: str, names: dict[str, str]) -> Iterator[str]:
    """Yield what is wrong with a machine, or with a branch of a Parallel or Map state.

    `names` holds the states of the whole definition so far, with the places where they are defined.
    """
    states = machine.get("States")
    if not isinstance(states, dict) or not states:
        yield f"SCHEMA_VALIDATION_FAILED: The field 'States' is missing or empty at {path or '/'}"
        return
    start = machine.get("StartAt")
    if start not in states:
        yield f"MISSING_TRANSITION_TARGET: Missing 'StartAt' target: {start} at {path}/StartAt"

    for name, state in states.items():
        where = f"{path}/States/{name}"
        if name in names:
            yield f"DUPLICATE_STATE_NAME: Duplicate State name: {name} at {where} and {names[name]}"
        names[name] = where
        if not isinstance(state, dict):
            yield f"SCHEMA_VALIDATION_FAILED: A state must be an object at {where}"
            continue
        yield from _state(state, where, states, names)

    yield from _unreachable(states, start, path)


def _state(state: Mapping[str, Any], where: str, states: Mapping[str, Any], names: dict[str, str]) -> Iterator[str]:
    kind = state.get("Type")
    if kind not in _TYPES:
        yield f"SCHEMA_VALIDATION_FAILED: Value is not one of {list(_TYPES)}: {kind} at {where}/Type"
        return

    # required fields
    for field in _REQUIRED.get(kind, ()):
        if not state.get(field):
            yield f"SCHEMA_VALIDATION_FAILED: The field '{field}' is required but was missing at {where}"
    if kind in _ONE_OF and not any(field in state for field in _ONE_OF[kind]):
        yield f"SCHEMA_VALIDATION_FAILED: One of {list(_ONE_OF[kind])} is required at {where}"
    if kind not in (*_TERMINAL, "Choice") and ("Next" in state) == (state.get("End") is True):
        yield f"SCHEMA_VALIDATION_FAILED: Exactly one of 'Next' and 'End: true' is required at {where}"

    # the states that it leads to, its error handlers and its inner machines
    for target, field in _targets(state):
        if target not in states:
            yield f"MISSING_TRANSITION_TARGET: Missing '{field.rpartition('/')[2]}' target: {target} at {where}/{field}"
    for field in ("Retry", "Catch"):
        yield from _handlers(state.get(field, []), f"{where}/{field}")
    for machine, field in _inner(state):
        yield from _machine(machine, f"{where}/{field}", names)


def _handlers(handlers: Any, where: str) -> Iterator[str]:
    """Check `Retry` or `Catch`: States.ALL must be the only error of the last entry."""
    for index, handler in enumerate(handlers):
        errors = handler.get("ErrorEquals")
        if not errors:
            yield f"SCHEMA_VALIDATION_FAILED: The field 'ErrorEquals' is required but was missing at {where}[{index}]"
        elif "States.ALL" in errors and (len(errors) > 1 or index < len(handlers) - 1):
            yield f"SCHEMA_VALIDATION_FAILED: States.ALL must be the only error and the last entry at {where}[{index}]"


def _targets(state: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """Yield every state that this one may lead to, with the field that names it."""
    if "Next" in state:
        yield state["Next"], "Next"
    if "Default" in state:
        yield state["Default"], "Default"
    for field in ("Choices", "Catch"):
        for index, rule in enumerate(state.get(field, [])):
            yield rule.get("Next"), f"{field}[{index}]/Next"


def _inner(state: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    for index, branch in enumerate(state.get("Branches", [])):
        yield branch, f"Branches[{index}]"
    for field in ("ItemProcessor", "Iterator"):
        if field in state:
            yield state[field], field


def _unreachable(states: Mapping[str, Any], start: Any, path: str) -> Iterator[str]:
    reached: set[Any] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in reached or not isinstance(states.get(name), dict):
            continue
        reached.add(name)
        waiting += [target for target, _ in _targets(states[name])]

    for name in states:
        if name not in reached:
            yield f'MISSING_TRANSITION_TARGET: State "{name}" is not reachable. at {path}/States/{name}'
