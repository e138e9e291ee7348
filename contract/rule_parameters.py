"""The parameters of the debugger's rules: their types, limits and defaults, and the check of a given value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from contract.hyperparameters import MODES, ContractError

__all__ = ["Parameter", "ParameterValue", "choice", "flag", "number", "regex", "text", "whole"]

ParameterValue = bool | int | float | str | None
ParameterType = Literal["whole", "number", "flag", "text", "regex"]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a rule."""

    type: ParameterType
    default: ParameterValue
    """SageMaker's documented default, or that of a rule of this project. Where it is none, none is an allowed value."""
    low: float | None = None
    high: float | None = None
    """The limits of a number, both included; none where there is none."""
    choices: tuple[str, ...] = ()
    """The allowed texts; empty where every text is allowed."""
    project_defaults: Mapping[str, ParameterValue] = field(default_factory=dict)
    """This project's own default by the hyperparameter `mode`, where it differs from SageMaker's."""

    @property
    def allowed(self) -> str:
        """The allowed values in words, such as `a whole number, 1 or more`."""
        if self.choices:
            return ", ".join(self.choices)
        words = {
            "whole": "a whole number",
            "number": "a number",
            "flag": "true or false",
            "text": "a text",
            "regex": "a regular expression",
        }[self.type]
        if self.low is None:
            return words
        return f"{words}, {self.low:g} or more" if self.high is None else f"{words} from {self.low:g} to {self.high:g}"

    def parsed(self, value: object) -> ParameterValue:
        """Return a value, which may be given as text, in the parameter's type.

        Raises:
            ContractError: the value is of another type or outside the limits; says what is allowed.
        """
        given = str(value).strip()
        if self.default is None and (value is None or given in ("", "None")):
            return None
        if self.choices and given not in self.choices:
            raise ContractError(f"give {self.allowed}")

        # Values come as text from the command line and from SageMaker, as numbers from cdk.json.
        if self.type == "text":
            return given
        if self.type == "regex":
            return _compiled(given)
        if self.type == "flag":
            if given.lower() not in ("true", "false"):
                raise ContractError(f"give {self.allowed}")
            return given.lower() == "true"
        return self._within_limits(given)

    def _within_limits(self, given: str) -> int | float:
        try:
            number = int(given) if self.type == "whole" else float(given)
        except ValueError:
            number = math.nan
        low, high = (-math.inf if self.low is None else self.low), (math.inf if self.high is None else self.high)
        if not (math.isfinite(number) and low <= number <= high):
            example = "" if self.default is None else f", such as {self.default}"
            raise ContractError(f"give {self.allowed}{example}")
        return number


def whole(
    default: int | None, *, low: int, high: int | None = None, project: int | None = None, finetune: int | None = None
) -> Parameter:
    """Declare a whole number. `project` is this project's default in both modes, `finetune` that of mode finetune."""
    return Parameter(type="whole", default=default, low=low, high=high, project_defaults=_by_mode(project, finetune))


def number(
    default: float,
    *,
    low: float | None = None,
    high: float | None = None,
    project: float | None = None,
    finetune: float | None = None,
) -> Parameter:
    """Declare a number; `project` and `finetune` as of `whole`."""
    return Parameter(type="number", default=default, low=low, high=high, project_defaults=_by_mode(project, finetune))


def flag(default: bool) -> Parameter:
    """Declare a parameter that is true or false."""
    return Parameter(type="flag", default=default)


def text(default: str | None, *, project: str | None = None) -> Parameter:
    """Declare a text, such as names of collections, separated by commas."""
    return Parameter(type="text", default=default, project_defaults=_by_mode(project))


def regex(default: str | None, *, project: str | None = None) -> Parameter:
    """Declare a regular expression for tensors' names; several may be given, separated by commas."""
    return Parameter(type="regex", default=default, project_defaults=_by_mode(project))


def choice(default: str | None, *choices: str, project: str | None = None) -> Parameter:
    """Declare a text that is one of a few."""
    return Parameter(type="text", default=default, choices=choices, project_defaults=_by_mode(project))


def _by_mode(project: ParameterValue = None, finetune: ParameterValue = None) -> dict[str, ParameterValue]:
    both: dict[str, ParameterValue] = {} if project is None else dict.fromkeys(MODES, project)
    return both if finetune is None else {**both, "finetune": finetune}


def _compiled(given: str) -> str:
    try:
        re.compile(given)
    except re.error as error:
        raise ContractError(f"it is no regular expression ({error}); give one such as '.*weight'") from None
    return given
