"""A request: the image's bytes, or JSON with the image in base64, and what its query string asks about the image."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from contract import (
    MAX_IMAGE_BYTES,
    MAX_JSON_IMAGE_BYTES,
    MAX_SERVERLESS_IMAGE_BYTES,
    MAX_SERVERLESS_JSON_IMAGE_BYTES,
    ClassificationParameters,
    ClassificationRequest,
    ServingMode,
)

from .problems import Problem

__all__ = ["ImageRequest", "read_request"]

_HOW_TO = (
    "send the image's bytes with an image/* content type, or JSON with the image in base64 as "
    '{"inputs": "…", "parameters": {"top_k": 5}}'
)

_FIELDS = tuple(ClassificationRequest.__annotations__)
_PARAMETERS = tuple(ClassificationParameters.__annotations__)


@dataclass(frozen=True)
class _Limits:
    """Largest images in bytes."""

    image: int
    as_json: int


_LIMITS: dict[ServingMode, _Limits] = {
    "realtime": _Limits(MAX_IMAGE_BYTES, MAX_JSON_IMAGE_BYTES),
    "serverless": _Limits(MAX_SERVERLESS_IMAGE_BYTES, MAX_SERVERLESS_JSON_IMAGE_BYTES),
}


@dataclass(frozen=True)
class ImageRequest:
    """The body, the content type and the custom attributes that the endpoint gets."""

    body: bytes
    content_type: str
    attributes: str = ""
    """The query string's parameters, such as `coverage=0.95;top_k=3`; the endpoint checks their values."""


def read_request(event: APIGatewayProxyEvent, *, mode: ServingMode) -> ImageRequest:
    """Return the image of a request to an endpoint of this mode.

    A body of an image type goes to the endpoint as it is, which decodes it. So does a body of an unclear type, since
    curl sends `application/x-www-form-urlencoded` unless it is told otherwise.

    Raises:
        Problem: the body is missing, too large or not valid JSON, its type cannot be an image's, or the query string
            has another parameter than `contract.ClassificationParameters`.
    """
    attributes = _attributes(event)
    body = _body(event)
    if not body:
        raise Problem(400, "No image", f"The request has no body; {_HOW_TO}.")

    content_type = (event.headers.get("content-type") or "application/octet-stream").split(";")[0].strip().lower()
    if content_type == "application/json":
        _check_json(body, _LIMITS[mode])
        return ImageRequest(body, content_type, attributes)

    if len(body) > _LIMITS[mode].image:
        raise _too_large(len(body), _LIMITS[mode].image)
    if content_type.startswith("image/"):
        return ImageRequest(body, content_type, attributes)
    if content_type.startswith(("text/", "multipart/")):
        raise Problem(415, "Not an image", f"The content type is {content_type}; {_HOW_TO}.")
    return ImageRequest(body, "application/octet-stream", attributes)


def _attributes(event: APIGatewayProxyEvent) -> str:
    """Return the query string as SageMaker's CustomAttributes, which are at most 1,024 ASCII characters."""
    given = event.multi_value_query_string_parameters or {
        name: [value] for name, value in (event.query_string_parameters or {}).items()
    }
    _check_names(given, known=_PARAMETERS, what="The query string")
    for name, values in given.items():
        if len(values) != 1:
            raise Problem(400, "Parameter given twice", f"The query string has {name} {len(values)} times; give one.")
        if not re.fullmatch(r"[A-Za-z0-9.]{1,30}", values[0]):
            raise Problem(
                400,
                "Unreadable parameter",
                f"{name} is {values[0][:50]!r}; send for example ?coverage=0.95&top_k=3&explain=1.",
            )
    return ";".join(f"{name}={values[0]}" for name, values in sorted(given.items()))


def _body(event: APIGatewayProxyEvent) -> bytes:
    text = event.body or ""
    if not event.is_base64_encoded:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Problem(400, "Unreadable body", f"The body is not valid base64; {_HOW_TO}.") from None


def _check_json(body: bytes, limits: _Limits) -> None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise Problem(
            400, "Not JSON", f"The content type is application/json, but the body is not: {reason}; {_HOW_TO}."
        ) from None

    # the shape of contract.ClassificationRequest
    if not isinstance(value, dict) or not isinstance(value.get("inputs"), str):
        raise Problem(400, "No image", f'The JSON has no text "inputs"; {_HOW_TO}.')
    _check_names(value, known=_FIELDS, what="The JSON")
    parameters = value.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Problem(400, "Unreadable parameters", f'"parameters" is no object; {_HOW_TO}.')
    _check_names(parameters, known=_PARAMETERS, what='"parameters"')

    size = len(value["inputs"]) * 3 // 4 - value["inputs"][-2:].count("=")
    if size > limits.as_json:
        bytes_alone = f"as JSON ({limits.image / 1e6:.1f} MB if its bytes are sent with an image/* content type)"
        raise _too_large(size, limits.as_json, bytes_alone)


def _check_names(given: Iterable[str], *, known: tuple[str, ...], what: str) -> None:
    for name in given:
        if name not in known:
            raise Problem(400, "Unknown parameter", f"{what} has {name[:50]!r}; known are {', '.join(known)}.")


def _too_large(size: int, limit: int, how: str = "") -> Problem:
    accepted = f"{limit / 1e6:.1f} MB are accepted {how}".rstrip()
    return Problem(
        413,
        "Image too large",
        f"The image has {size / 1e6:.1f} MB, but at most {accepted}; make it smaller: the model looks at a few hundred "
        "pixels a side, so that 1024 pixels lose nothing.",
    )
