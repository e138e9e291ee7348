"""Validate requests and shape answers by SageMaker's own service model, which botocore brings."""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, Shape

from local.sagemaker.errors import validation

__all__ = ["operation", "shaped", "validate", "violations"]


@lru_cache(maxsize=1)
def _service() -> Any:
    return botocore.session.Session().get_service_model("sagemaker")


def operation(name: str) -> OperationModel | None:
    """Return the API's model of an operation; None if the API has no operation of this name."""
    service = _service()
    return service.operation_model(name) if name in service.operation_names else None


def validate(name: str, parameters: Any) -> dict[str, Any]:
    """Check the parameters of an operation, and return them with timestamps as epoch seconds.

    Members whose value is None count as absent.

    Raises:
        SageMakerError: ValidationException with every violation, worded as the API does. Members that the API does not
            know are violations, too: AWS ignores them silently, and most often they are misspelt.
    """
    model = operation(name)
    if model is None:
        raise validation(f"{name} is not an operation of SageMaker.")
    shape = model.input_shape
    if shape is None:
        return {}
    if not isinstance(parameters, dict):
        raise validation(f"The request of {name} must be a JSON object, not {type(parameters).__name__}.")

    cleaned = _convert(shape, parameters)
    problems = list(violations(shape, cleaned))
    if problems:
        noun = "error" if len(problems) == 1 else "errors"
        raise validation(f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")
    result: dict[str, Any] = cleaned
    return result


def shaped(name: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy of the answer with only those members that the operation's answer has."""
    model = operation(name)
    shape = model.output_shape if model is not None else None
    return _project(shape, answer) if shape is not None else {}


def _convert(shape: Shape, value: Any) -> Any:
    """Return the value without members that are None, and with timestamps as epoch seconds."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        members = shape.members  # type: ignore[attr-defined]
        return {
            key: _convert(members[key], item) if key in members else item
            for key, item in value.items()
            if item is not None
        }
    if kind == "list" and isinstance(value, list | tuple):
        return [_convert(shape.member, item) for item in value]  # type: ignore[attr-defined]
    if kind == "map" and isinstance(value, dict):
        return {key: _convert(shape.value, item) for key, item in value.items()}  # type: ignore[attr-defined]
    if kind == "timestamp":
        return _timestamp(value)
    return value


def _timestamp(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
        try:
            return datetime.datetime.fromisoformat(value).timestamp()
        except ValueError:
            return value
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "structure": ("an object", lambda value: isinstance(value, dict)),
    "map": ("an object", lambda value: isinstance(value, dict)),
    "list": ("a list", lambda value: isinstance(value, list)),
    "string": ("a string", lambda value: isinstance(value, str)),
    "boolean": ("a boolean", lambda value: isinstance(value, bool)),
    "integer": ("an integer", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "long": ("an integer", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "float": ("a number", _is_number),
    "double": ("a number", _is_number),
    "timestamp": ("a timestamp", _is_number),
}


def violations(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Yield what is wrong with a value of this shape, worded as the API's validation errors."""
    expected, fits = _TYPES.get(shape.type_name, ("", lambda _: True))
    if not fits(value):
        yield f"Value '{_brief(value)}' at '{path}' failed to satisfy constraint: Member must be {expected}"
        return

    if shape.type_name == "structure":
        yield from _structure_violations(shape, value, path)
    elif shape.type_name == "list":
        yield from _limits(shape, len(value), _brief(value), path, "length")
        for index, item in enumerate(value, start=1):
            yield from violations(shape.member, item, f"{path}.{index}.member")  # type: ignore[attr-defined]
    elif shape.type_name == "map":
        yield from _limits(shape, len(value), _brief(value), path, "length")
        for key, item in value.items():
            yield from violations(shape.key, key, f"{path}.{_brief(key)}.key")  # type: ignore[attr-defined]
            yield from violations(shape.value, item, f"{path}.{_brief(key)}.member")  # type: ignore[attr-defined]
    elif shape.type_name == "string":
        yield from _string_violations(shape, value, path)
    elif _is_number(value):
        yield from _limits(shape, value, str(value), path, "value")


def _structure_violations(shape: Shape, value: dict[str, Any], path: str) -> Iterator[str]:
    members = shape.members  # type: ignore[attr-defined]
    for name in shape.required_members:
        if name not in value:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, item in value.items():
        if name not in members:
            place = f" of '{path}'" if path else ""
            yield f"Unknown member '{_brief(name)}'{place}; known are {', '.join(members)}"
        else:
            yield from violations(members[name], item, _join(path, name))


def _string_violations(shape: Shape, value: str, path: str) -> Iterator[str]:
    enum = shape.metadata.get("enum")
    pattern = shape.metadata.get("pattern")
    told = f"Value '{_brief(value)}' at '{path}' failed to satisfy constraint: Member must satisfy"
    if enum and value not in enum:
        yield f"{told} enum value set: [{', '.join(enum)}]"
    yield from _limits(shape, len(value), f"'{_brief(value)}'", path, "length")
    compiled = _compiled(pattern) if pattern else None
    if compiled is not None and not compiled.fullmatch(value):
        yield f"{told} regular expression pattern: {pattern}"


def _limits(shape: Shape, size: float, told: str, path: str, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    for broken, words, limit in (
        (low is not None and size < low, "greater than or equal to", low),
        (high is not None and size > high, "less than or equal to", high),
    ):
        if broken:
            yield f"Value {told} at '{path}' failed to satisfy constraint: Member must have {what} {words} {limit}"


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Return a Java pattern as Python's; None for the few that `re` cannot express (surrogate pairs, \\p{P}).

    Java's classes of letters, spaces and digits become the nearest ones of `re`.
    """
    python = pattern.replace(r"\p{L}", r"\w").replace(r"\p{Z}", r"\s").replace(r"\p{N}", r"\d")
    try:
        return re.compile(python, re.DOTALL)
    except re.error:
        return None


def _join(path: str, name: str) -> str:
    lower = name[:1].lower() + name[1:]
    return f"{path}.{lower}" if path else lower


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _project(shape: Shape, value: Any) -> Any:
    if shape.type_name == "structure" and isinstance(value, dict):
        members = shape.members  # type: ignore[attr-defined]
        return {key: _project(members[key], item) for key, item in value.items() if key in members and item is not None}
    if shape.type_name == "list":
        return [_project(shape.member, item) for item in value]  # type: ignore[attr-defined]
    if shape.type_name == "map":
        return {key: _project(shape.value, item) for key, item in value.items()}  # type: ignore[attr-defined]
    return copy.deepcopy(value)
