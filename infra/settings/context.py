"""Read settings from the CDK's context: cdk.json's `environments` and the `-c` overrides."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

__all__ = ["SettingsError", "from_context"]

_Model = TypeVar("_Model", bound=BaseModel)


class SettingsError(ValueError):
    """A setting is wrong. The message names the setting, its value, what is allowed and where to change it."""


def from_context(model: type[_Model], context: Mapping[str, Any]) -> _Model:
    """Return the settings of the environment that `-c env=NAME` chooses, with the `-c SECTION.NAME=VALUE` overrides.

    Raises:
        SettingsError: a setting is unknown or its value is wrong; the message names every such setting.
    """
    # the environment's own settings
    environments = context.get("environments", {})
    env = str(context.get("env", "dev"))
    if env not in environments:
        raise SettingsError(
            f"env={env!r} is not an environment of cdk.json, which has {', '.join(sorted(environments)) or 'none'};"
            " choose one with -c env=NAME or add it under context.environments"
        )
    values: dict[str, Any] = {
        section: dict(settings) if isinstance(settings, Mapping) else settings
        for section, settings in environments[env].items()
    }
    values["env"] = env

    # the overrides of the command line
    for key, value in context.items():
        section, dot, name = key.partition(".")
        if _is_cdks_own(key):
            continue
        if not dot or section not in model.model_fields:
            raise SettingsError(f"unknown setting -c {key}={value}; {_nearest(key, model)}")
        if isinstance(chosen := values.setdefault(section, {}), dict):
            chosen[name] = _from_text(value)

    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, model)) from None


def _is_cdks_own(key: str) -> bool:
    """Return whether a context key belongs to the CDK (feature flags, look-ups) and not to the settings."""
    return key in ("env", "environments", "tree-metadata") or key.startswith(("@aws-cdk", "aws:", "aws-cdk:", "cdk-"))


def _from_text(value: Any) -> Any:
    """Split `16,32,64` into a list and turn an empty text into no value; pydantic converts the rest."""
    if not isinstance(value, str):
        return value
    if value == "":
        return None
    return [part.strip() for part in value.split(",")] if "," in value else value


def _nearest(key: str, model: type[BaseModel]) -> str:
    """Say which settings may have been meant by a name that is none: there are too many to list them all."""
    sections: dict[str, list[str]] = {}
    for section, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            sections[section] = list(kind.model_fields)
    section, _, name = key.rpartition(".")

    # names written alike in its section, or in one written alike; the same names in others
    found = []
    alike = [section] if section in sections else get_close_matches(section, sections)
    for other, names in sections.items():
        near = get_close_matches(name, names) if other in alike else []
        found += [f"{other}.{each}" for each in names if each in (section, name, *near)]
    if found:
        said = f"did you mean {' or '.join(found)}? "
    elif section in sections:
        said = f"{section} has {', '.join(sections[section])}; "
    else:
        said = ""
    return f"{said}`whippet settings` lists them all"


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    lines = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"] if not isinstance(part, int))
        if problem["type"] == "extra_forbidden":
            lines.append(f"{place}: there is no such setting; {_nearest(place, model)}")
        elif problem["type"] == "value_error":
            lines.append(f"{place}: {problem['ctx']['error']!s}")
        else:
            lines.append(f"{place}={problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}")
    return "wrong settings (change them in cdk.json or with -c NAME=VALUE):\n  " + "\n  ".join(lines)
