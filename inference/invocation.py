"""Requests to `/invocations`: both forms, and the error that each mistake gets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import contract
from inference.parameters import NAMES, from_attributes

__all__ = ["CUSTOM_ATTRIBUTES", "MAX_BODY_BYTES", "ClassifyRequest", "Problem", "parse"]

CUSTOM_ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"
"""Header with the text that the caller of InvokeEndpoint gave as CustomAttributes."""

MAX_BODY_BYTES: Final = contract.MAX_UPLOAD_BYTES
"""What SageMaker passes to an endpoint at most."""

_MAX_MARKS: Final = 1_000
_SHAPE: Final = "an object with inputs and parameters"

_MAX_ECHO: Final = 50
"""Characters of a caller's own words that an error repeats."""


class Problem(Exception):  # noqa: N818 (RFC 9457 calls it so)
    """A request that cannot be answered: HTTP status and the detail of its problem+json."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class ClassifyRequest:
    """An image, and what is asked about it."""

    image: bytes
    top_k: int
    coverage: float | None = None
    """Probability with which the answer's `labels` is to hold the right one; None where no set is asked for."""
    explain: bool = False
    """Whether a heat map is asked for."""


def parse(body: bytes, *, content_type: str, attributes: str = "") -> ClassifyRequest:
    """Read a request of either form: the image's bytes, or `contract.ClassificationRequest` as JSON.

    Args:
        body: the request's.
        content_type: the header's value.
        attributes: value of the header `CUSTOM_ATTRIBUTES`, which may hold parameters whatever the body's form.

    Raises:
        Problem: 400 for an empty body, 415 for a content type of neither form, 422 for JSON that breaks the contract
            and for parameters with wrong values.
    """
    kind = content_type.partition(";")[0].strip().lower()
    # SageMaker's clients may leave the type out
    if kind and kind not in contract.CONTENT_TYPES and not kind.startswith("image/"):
        raise Problem(
            415,
            f"content type {kind[:_MAX_ECHO]!r} is not supported; send the image's bytes as image/jpeg (or its like), "
            "or JSON",
        )
    if not body:
        raise Problem(400, "the body is empty; send the image's bytes, or JSON with the image in base64 as inputs")

    image, parameters = _from_json(body) if kind == "application/json" else (body, {})
    try:
        beside = from_attributes(attributes)
        if twice := sorted(beside.keys() & parameters.keys()):
            raise contract.ParameterError(f"{twice[0]} is given twice, in the JSON and beside it; give it once")
        asked = contract.check_parameters({**parameters, **beside})
    except contract.ParameterError as error:
        raise Problem(422, str(error)) from None
    return ClassifyRequest(
        image=image, top_k=asked["top_k"], coverage=asked.get("coverage"), explain=asked.get("explain", False)
    )


def _from_json(body: bytes) -> tuple[bytes, dict[str, Any]]:
    """Return the image and the parameters."""
    # a request is an object of two, and base64 has none of these: more of them only cost memory
    if sum(body.count(mark) for mark in (b"{", b"[", b",", b'"')) > _MAX_MARKS:
        marks = f"more than {_MAX_MARKS} brackets, commas and quotes"
        raise Problem(422, f"the body is not JSON of a request, it has {marks}; send {_SHAPE}")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(422, f"the body is not JSON: {error}; send {_SHAPE}") from None
    fields = _object(content, known=("inputs", "parameters"), what="the body")
    inputs = fields.get("inputs")
    if not isinstance(inputs, str) or not inputs:
        raise Problem(422, "inputs must be the image in base64, as a text")
    try:
        image = contract.image_in(inputs)
    except ValueError as error:
        raise Problem(422, f"inputs is not base64: {error}; send the image's bytes in base64") from None
    return image, _object(fields.get("parameters", {}), known=NAMES, what="parameters")


def _object(content: Any, *, known: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise Problem(422, f"{what} must be a JSON object with {' and '.join(known)}")
    unknown = sorted(set(content) - set(known))
    if unknown:
        named = ", ".join(repr(name[:_MAX_ECHO]) for name in unknown[:5])
        raise Problem(422, f"{what} has unknown {named}; known are {', '.join(known)}")
    return content
