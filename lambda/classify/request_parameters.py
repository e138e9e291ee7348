"""What is asked about an image, from a query string, a form or JSON, as SageMaker's CustomAttributes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from contract import ClassificationParameters, ParameterError, check_parameters, parameter_of_text

from .problems import Problem

__all__ = ["Parameters", "check_names", "from_json", "from_texts", "joined"]

Parameters = dict[str, str]
"""Values by the names of `contract.ClassificationParameters`, as text without spaces and semicolons."""

_NAMES: Final = tuple(ClassificationParameters.__annotations__)
_TEXT: Final = re.compile(r"[A-Za-z0-9.]{1,30}")
_TYPES: Final[dict[str, tuple[type, ...]]] = {"top_k": (int,), "coverage": (int, float), "explain": (bool,)}
"""Types of the values in JSON."""


def check_names(given: Iterable[str], *, known: Sequence[str], what: str) -> None:
    """Check the names of fields or parameters.

    Raises:
        Problem: one is unknown.
    """
    for name in given:
        if name not in known:
            raise Problem(400, "Unknown parameter", f"{what} has {name[:50]!r}; known are {', '.join(known)}.")


def from_texts(given: Mapping[str, Sequence[str]], *, what: str) -> Parameters:
    """Return the parameters of a query string or a form.

    Raises:
        Problem: a name is unknown or given twice, or a value is no word.
    """
    check_names(given, known=_NAMES, what=what)
    for name, values in given.items():
        if len(values) != 1:
            raise Problem(400, "Parameter given twice", f"{what} has {name} {len(values)} times; give one.")
        if not _TEXT.fullmatch(values[0]):
            example = "send for example ?coverage=0.95&top_k=3&explain=1"
            raise Problem(400, "Unreadable parameter", f"{name} is {values[0][:50]!r}; {example}.")
    return {name: values[0] for name, values in given.items()}


def from_json(given: Any) -> Parameters:
    """Return the parameters of a JSON body.

    Raises:
        Problem: they are no object, a name is unknown, or a value has the wrong type.
    """
    example = 'send for example {"top_k": 3, "coverage": 0.95, "explain": true}'
    if not isinstance(given, dict):
        raise Problem(400, "Unreadable parameter", f'"parameters" is no object; {example}.')
    check_names(given, known=_NAMES, what='"parameters"')

    found = {name: _as_text(value) for name, value in given.items() if type(value) in _TYPES[name]}
    for name, value in given.items():
        if not _TEXT.fullmatch(found.get(name, "")):
            shown = repr(str(value)[:50]) if isinstance(value, str | int | float) else "no number and no truth value"
            raise Problem(400, "Unreadable parameter", f'"{name}" is {shown}; {example}.')
    return found


def joined(*given: Parameters) -> Parameters:
    """Return the parameters of several places as one.

    The endpoint checks their values, too. Here, a wrong one is a fault of the request, and not of each of its images.

    Raises:
        Problem: one is given in two places, or has a wrong value.
    """
    found: Parameters = {}
    for parameters in given:
        if twice := sorted(found.keys() & parameters.keys()):
            raise Problem(400, "Parameter given twice", f"{twice[0]} is in the query string and in the body; give one.")
        found |= parameters
    try:
        check_parameters({name: parameter_of_text(name, text) for name, text in found.items()})
    except ParameterError as error:
        raise Problem(400, "Wrong parameter", f"{error}.") from None
    return found


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # the digits of an integer are counted before they are written, which takes long for millions of them
    return str(value) if not isinstance(value, int) or value.bit_length() < 100 else ""
