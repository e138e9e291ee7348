"""The TypedDicts of the run's document as a walk over the state machine asks for them: fields, paths, shapes."""

from __future__ import annotations

import dataclasses
from functools import cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from botocore.model import ListShape, MapShape, Shape, StructureShape

Path = tuple[str, ...]
EACH = "[*]"
"""The part of a path that stands for every item of a list."""

_OF_SHAPES: dict[str, type] = {
    "string": str,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": bool,
}


class Types:
    """The fields of every TypedDict. One field may be renamed, to show that somebody notices."""

    def __init__(self, renamed: tuple[type, str] | None = None) -> None:
        self.renamed = renamed
        self.used: set[tuple[type, str]] = set()
        """Fields that a path, a payload or an API's answer needs under their names."""
        self._known: dict[type, dict[str, Any]] = {}
        self._leaves: dict[Any, set[Path]] = {}
        self._resolved: dict[tuple[Any, Path], list[Any]] = {}

    def fields(self, kind: type) -> dict[str, Any]:
        if kind not in self._known:
            hints = _hints(kind)
            self._known[kind] = {f"{n}_renamed" if (kind, n) == self.renamed else n: hint for n, hint in hints.items()}
        return self._known[kind]

    def required(self, kind: type) -> set[str]:
        return {name for name, hint in self.fields(kind).items() if get_origin(hint) is not NotRequired}

    def use(self, kind: type, names: set[str]) -> None:
        self.used |= {(kind, name) for name in names}

    def resolve(self, hint: Any, path: Path) -> list[Any]:
        """The types that a path leads to: one of each branch of a union that has it, none where no branch has."""
        if (hint, path) not in self._resolved:
            found = branches(hint)
            for part in path:
                found = [
                    item for branch in found for member in self._members(branch, part) for item in branches(member)
                ]
            self._resolved[hint, path] = found
        return self._resolved[hint, path]

    def leaves(self, hint: Any) -> set[Path]:
        """Every path below a value of this type."""
        if hint in self._leaves:
            return self._leaves[hint]
        found: set[Path] = set()
        for branch in branches(hint):
            if is_typeddict(branch):
                for name, member in self.fields(branch).items():
                    found |= {(name, *rest) for rest in self.leaves(member)}
            elif names := _names_of(branch):
                found |= {(name,) for name in names}
            elif _base(branch) is list:
                found |= {(), *((EACH, *rest) for rest in self.leaves(get_args(branch)[0]))}
            else:
                found.add(())
        self._leaves[hint] = found
        return found

    def misfits(self, hint: Any, shape: Shape) -> list[str]:
        """Where a type and a shape of botocore's model differ."""
        if is_typeddict(hint) and isinstance(shape, StructureShape):
            self.use(hint, set(self.fields(hint)))
            found = [f"{shape.name} has no {name}" for name in self.fields(hint) if name not in shape.members]
            for name, member in self.fields(hint).items():
                if name in shape.members:
                    found += [
                        problem for item in branches(member) for problem in self.misfits(item, shape.members[name])
                    ]
            return found
        if isinstance(shape, StructureShape | MapShape):
            return [] if _base(hint) is dict else [f"{hint} is no {shape.type_name} {shape.name}"]
        if isinstance(shape, ListShape):
            items = get_args(hint)
            return self.misfits(items[0], shape.member) if _base(hint) is list else [f"{hint} is no list {shape.name}"]
        return [] if fits(hint, _OF_SHAPES.get(shape.type_name)) else [f"{hint} is no {shape.type_name} {shape.name}"]

    def _members(self, branch: Any, part: str) -> list[Any]:
        if is_typeddict(branch):
            if part not in self.fields(branch):
                return []
            self.use(branch, {part})
            return [self.fields(branch)[part]]
        if names := _names_of(branch):
            return [str] if part in names else []
        if part == EACH:
            return list(get_args(branch)) if _base(branch) is list else []
        return [get_args(branch)[1]] if _base(branch) is dict else []


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def branches(hint: Any) -> list[Any]:
    """The types of a union, else the type itself; without NotRequired."""
    if get_origin(hint) in (NotRequired, Required):
        return branches(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [branch for item in get_args(hint) for branch in branches(item)]
    return [hint]


def fits(given: Any, expected: Any) -> bool:
    """Whether a value of one type may stand where the other is expected."""
    if given == expected:
        return True
    if get_origin(given) is Literal:
        values = get_args(given)
        allowed = [value for item in branches(expected) if get_origin(item) is Literal for value in get_args(item)]
        return set(values) <= set(allowed) or all(type(value) is expected for value in values)
    return False


def is_value_of(value: Any, hint: Any) -> bool:
    """Whether a literal of the definition is a value of a type; the only literal of a plain dictionary is `{}`."""
    for branch in branches(hint):
        if is_typeddict(branch):
            fields = _hints(branch)
            matches = isinstance(value, dict) and value.keys() == fields.keys()
            matches = matches and all(is_value_of(item, fields[name]) for name, item in value.items())
        elif get_origin(branch) is Literal:
            matches = value in get_args(branch)
        elif _base(branch) is dict:
            matches = value == {}
        else:
            matches = type(value) is branch
        if matches:
            return True
    return False


def in_shape(shape: Shape, path: Path) -> Shape | None:
    """The shape that a path leads to in an API's answer; None where there is none."""
    for part in path:
        if isinstance(shape, StructureShape) and part in shape.members:
            shape = shape.members[part]
        elif isinstance(shape, MapShape) and part != EACH:
            shape = shape.value
        elif isinstance(shape, ListShape) and part == EACH:
            shape = shape.member
        else:
            return None
    return shape


def type_of(shape: Shape) -> Any:
    """The Python type of a simple shape, else the shape's name, which no type equals."""
    return _OF_SHAPES.get(shape.type_name, shape.name)


def _names_of(hint: Any) -> set[str]:
    """Names of an annotated dictionary: those of the dataclass in its annotation."""
    if get_origin(hint) is not Annotated:
        return set()
    return {field.name for kind in hint.__metadata__ for field in dataclasses.fields(kind)}


def _base(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        return _base(get_args(hint)[0])
    return get_origin(hint) or hint
