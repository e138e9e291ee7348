"""The values that the options of a request may have, wherever they are written: the API and the endpoint read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from contract.model import MAX_COVERAGE, MIN_COVERAGE, ClassificationParameters

__all__ = ["DEFAULT_TOP_K", "ParameterError", "check_parameters", "parameter_of_text"]

DEFAULT_TOP_K: Final = 5

_FLAGS: Final = {"1": True, "true": True, "0": False, "false": False}


class ParameterError(ValueError):
    """A parameter has a wrong value; the message says which values are right."""


def parameter_of_text(name: str, text: str) -> Any:
    """Return the value of a parameter as JSON would have it; a text that cannot be read comes back as it is.

    `check_parameters` refuses that.
    """
    if name == "explain":
        return _FLAGS.get(text.lower(), text)
    if name == "top_k":
        return int(text) if re.fullmatch(r"[0-9]{1,30}", text) else text
    return float(text) if re.fullmatch(r"[0-9]*\.?[0-9]+", text) and len(text) <= 30 else text


def check_parameters(parameters: Mapping[str, Any]) -> ClassificationParameters:
    """Return the parameters, with their defaults, if each has a value of the right kind and size.

    Raises:
        ParameterError: one of them has not.
    """
    top_k = parameters.get("top_k", DEFAULT_TOP_K)
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
        raise ParameterError("top_k must be a whole number from 1 on; of a larger one than there are classes, all come")
    found: ClassificationParameters = {"top_k": top_k}

    if "coverage" in parameters:
        coverage = parameters["coverage"]
        if not _is_number(coverage) or not MIN_COVERAGE <= coverage <= MAX_COVERAGE:
            raise ParameterError(f"coverage must be a number from {MIN_COVERAGE:g} to {MAX_COVERAGE:g}, such as 0.95")
        found["coverage"] = float(coverage)

    explain = parameters.get("explain", False)
    if not isinstance(explain, bool):
        raise ParameterError("explain must be true or false; as text, 1 or 0 are taken too")
    found["explain"] = explain
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
