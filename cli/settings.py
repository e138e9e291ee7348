"""The settings as a table, for `whippet settings` and for docs/settings.md, which a test holds to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from infra.settings import Settings

__all__ = ["markdown", "rows"]


def rows(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """Yield the name, value, allowed values and meaning of every setting, in the order of declaration."""
    for section, model in settings:
        if not isinstance(model, BaseModel):
            continue
        schema = type(model).model_json_schema()["properties"]
        for name, value in model:
            yield f"{section}.{name}", _text(value), _allowed(schema[name]), schema[name]["description"]


def markdown(settings: Settings) -> str:
    """Return the rows of all settings as a Markdown table."""
    lines = ["| setting | default | allowed | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{name}` | {value} | {allowed} | {meaning} |" for name, value, allowed, meaning in rows(settings)]
    return "\n".join(lines)


def _text(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, Mapping):
        value = tuple(f"{rule}.{name}={chosen}" for rule, given in value.items() for name, chosen in given.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "(none)"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _allowed(schema: dict[str, Any]) -> str:
    """Return what a setting may be, read from its JSON schema."""
    # An optional setting's schema is "of this type, or null": its own type says what is allowed.
    for option in schema.get("anyOf", []):
        if option.get("type") != "null":
            return _allowed(option)
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if schema["type"] == "array":
        return f"list of {_allowed(schema['items'])}"

    # Numbers have a range with both ends; only the lower one may be exclusive.
    low = schema.get("minimum", f"above {schema['exclusiveMinimum']}" if "exclusiveMinimum" in schema else None)
    if low is not None:
        return f"{low} to {schema['maximum']}"
    return {"boolean": "true, false", "object": "list of RULE.PARAMETER=VALUE"}.get(schema["type"], "text")
