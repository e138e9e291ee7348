"""What SageMaker's CustomAttributes say of a request: its options, and the API's id."""

from __future__ import annotations

import re
from typing import Any, Final

import contract

__all__ = ["NAMES", "from_attributes", "request_id"]

NAMES: Final = tuple(contract.ClassificationParameters.__annotations__)


def from_attributes(attributes: str) -> dict[str, Any]:
    """Return the parameters in a CustomAttributes header, such as `coverage=0.95;top_k=3`, by their names.

    The header carries any text of the caller's, such as an id to trace a request by (InvokeEndpoint, SageMaker API
    reference): what has another name than a parameter is left alone. The values are not checked yet.

    Raises:
        ParameterError: a parameter is given twice.
    """
    found: dict[str, Any] = {}
    for entry in attributes.split(";"):
        name, _, value = (part.strip() for part in entry.partition("="))
        if name not in NAMES:
            continue
        if name in found:
            raise contract.ParameterError(f"{name} is given twice; give it once")
        found[name] = contract.parameter_of_text(name, value)
    return found


def request_id(attributes: str) -> str:
    """Return the API's id of a request from its CustomAttributes, or `-` where there is none fit for a log."""
    found = re.search(rf"(?:^|;)\s*{contract.REQUEST_ID}=([A-Za-z0-9-]{{1,64}})\s*(?:;|$)", attributes)
    return found[1] if found else "-"
