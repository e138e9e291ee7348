"""JSON Schemas (2020-12) of the contract's TypedDicts, with the docstrings of classes and fields as descriptions."""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import NoneType, UnionType
from typing import Any, Final, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

__all__ = ["REFERENCE", "schema_of"]

REFERENCE: Final = "#/components/schemas/"

_PLAIN: Final[dict[Any, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
    object: "object",
}


def schema_of(kind: Any, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of a type; those of TypedDicts are put into `known` by their names, and referred to.

    Raises:
        TypeError: the type has no schema here.
    """
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    origin, inner = get_origin(kind), get_args(kind)
    if origin is list:
        return {"type": "array", "items": schema_of(inner[0], known)}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(inner[1], known)}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, UnionType):
        return {"anyOf": [schema_of(each, known) for each in inner]}
    if not is_typeddict(kind):
        raise TypeError(f"{kind} has no JSON Schema here; add it to json_schema.py")
    if kind.__name__ not in known:
        # before its fields, which may refer to it
        known[kind.__name__] = {}
        known[kind.__name__].update(_object(kind, known))
    return {"$ref": f"{REFERENCE}{kind.__name__}"}


def _object(kind: Any, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    hints, described = get_type_hints(kind, include_extras=True), _field_docstrings(kind)
    properties, required = {}, []
    for name, hint in hints.items():
        optional = get_origin(hint) is NotRequired
        properties[name] = schema_of(get_args(hint)[0] if optional else hint, known)
        if name in described:
            properties[name]["description"] = described[name]
        required += [] if optional else [name]
    return {
        "type": "object",
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _field_docstrings(kind: Any) -> dict[str, str]:
    """Return the texts below the fields of a class, which Python itself does not keep."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 (narrows the type)
    found = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                found[name] = " ".join(words.split())
    return found
