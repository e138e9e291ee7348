"""The options of a request: `contract.ClassificationParameters` as JSON, or as text in SageMaker's CustomAttributes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import contract

__all__ = ["DEFAULT_TOP_K", "NAMES", "ParameterError", "checked", "from_attributes", "request_id"]

NAMES: Final = tuple(contract.ClassificationParameters.__annotations__)

DEFAULT_TOP_K: Final = 5

_FLAGS: Final = {"1": True, "true": True, "0": False, "false": False}


class ParameterError(ValueError):
    """A parameter has a wrong value; the message says which values are right."""


def from_attributes(attributes: str) -> dict[str, Any]:
    """Return the parameters in a CustomAttributes header, such as `coverage=0.95;top_k=3`.

    The header carries any text of the caller's, such as an id to trace a request by (InvokeEndpoint, SageMaker API
    reference): what has another name than a parameter is left alone. A value that cannot be read is returned as text,
    which `checked` refuses.

    Raises:
        ParameterError: a parameter is given twice.
    """
    found: dict[str, Any] = {}
    for entry in attributes.split(";"):
        name, _, value = (part.strip() for part in entry.partition("="))
        if name not in NAMES:
            continue
        if name in found:
            raise ParameterError(f"{name} is given twice; give it once")
        found[name] = _read(name, value)
    return found


def request_id(attributes: str) -> str:
    """Return the API's id of a request from its CustomAttributes, or `-` where there is none fit for a log."""
    found = re.search(rf"(?:^|;)\s*{contract.REQUEST_ID}=([A-Za-z0-9-]{{1,64}})\s*(?:;|$)", attributes)
    return found[1] if found else "-"


def checked(parameters: Mapping[str, Any]) -> contract.ClassificationParameters:
    """Return the parameters if each has a value of the right kind and size.

    Raises:
        ParameterError: one of them has not.
    """
    top_k = parameters.get("top_k", DEFAULT_TOP_K)
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
        raise ParameterError("top_k must be a whole number from 1 on; of a larger one than there are classes, all come")
    found: contract.ClassificationParameters = {"top_k": top_k}

    if "coverage" in parameters:
        coverage = parameters["coverage"]
        if not _is_number(coverage) or not contract.MIN_COVERAGE <= coverage <= contract.MAX_COVERAGE:
            raise ParameterError(
                f"coverage must be a number from {contract.MIN_COVERAGE:g} to {contract.MAX_COVERAGE:g}, such as 0.95"
            )
        found["coverage"] = float(coverage)

    explain = parameters.get("explain", False)
    if not isinstance(explain, bool):
        raise ParameterError("explain must be true or false; as text, 1 or 0 are taken too")
    found["explain"] = explain
    return found


def _read(name: str, value: str) -> Any:
    """Return the value of a parameter as JSON would have it, or the text itself."""
    if name == "explain":
        return _FLAGS.get(value.lower(), value)
    if name == "top_k":
        return int(value) if re.fullmatch(r"[0-9]{1,9}", value) else value
    return float(value) if re.fullmatch(r"[0-9]*\.?[0-9]+", value) and len(value) <= 30 else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
