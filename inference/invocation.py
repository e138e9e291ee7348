"""Requests to `/invocations`: both forms, and the error that each mistake gets."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["DEFAULT_TOP_K", "MAX_BODY_BYTES", "ClassifyRequest", "Problem", "parse"]

DEFAULT_TOP_K: Final = 5

MAX_BODY_BYTES: Final = 25_000_000
"""What SageMaker passes to an endpoint at most (InvokeEndpoint quota: 25 MB)."""

_BYTES_TYPES: Final = ("application/x-image", "application/octet-stream", "")
"""Content types beside `image/*` of a body that is the image itself. SageMaker's clients may leave the type out."""


class Problem(Exception):  # noqa: N818 (RFC 9457 calls it so)
    """A request that cannot be answered: HTTP status and the detail of its problem+json."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class ClassifyRequest:
    """An image and how many classes are asked for."""

    image: bytes
    top_k: int


def parse(body: bytes, *, content_type: str, classes: int) -> ClassifyRequest:
    """Read a request of either form: the image's bytes, or `contract.ClassificationRequest` as JSON.

    Raises:
        Problem: 400 for an empty body, 415 for a content type of neither form, 422 for JSON that breaks the contract.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and kind not in _BYTES_TYPES and not kind.startswith("image/"):
        raise Problem(
            415, f"content type {kind!r} is not supported; send the image's bytes as image/jpeg (or its like), or JSON"
        )
    if not body:
        raise Problem(400, "the body is empty; send the image's bytes, or JSON with the image in base64 as inputs")
    if kind == "application/json":
        return _from_json(body, classes=classes)
    return ClassifyRequest(image=body, top_k=min(DEFAULT_TOP_K, classes))


def _from_json(body: bytes, *, classes: int) -> ClassifyRequest:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(422, f"the body is not JSON: {error}; send an object with inputs and parameters") from None
    fields = _object(content, known=("inputs", "parameters"), what="the body")
    inputs = fields.get("inputs")
    if not isinstance(inputs, str) or not inputs:
        raise Problem(422, "inputs must be the image in base64, as a text")
    try:
        image = base64.b64decode(inputs, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(422, f"inputs is not base64: {error}; send the image's bytes in base64") from None
    parameters = _object(fields.get("parameters", {}), known=("top_k",), what="parameters")
    top_k = parameters.get("top_k", min(DEFAULT_TOP_K, classes))
    if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= classes:
        raise Problem(422, f"top_k must be a whole number from 1 to {classes}, the number of classes")
    return ClassifyRequest(image=image, top_k=top_k)


def _object(content: Any, *, known: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise Problem(422, f"{what} must be a JSON object with {' and '.join(known)}")
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise Problem(422, f"{what} has unknown {', '.join(map(repr, unknown[:5]))}; known are {', '.join(known)}")
    return content
