"""The images of a request in each of its forms (bytes, JSON, a form), and what is asked about them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from contract import MAX_BATCH, ServingMode

from .image_limits import check_size
from .media_types import FORM, JSON, media_type_of
from .problems import Problem
from .request_form import read_form
from .request_json import Stored, read_json
from .request_parameters import Parameters, from_texts, joined

__all__ = ["ImageRequest", "Images", "body_of", "read_request"]

_HOW_TO: Final = (
    "send the image's bytes with an image/* content type, or JSON with the image in base64 as "
    '{"inputs": "…", "parameters": {"top_k": 5}}, or a form with the image as a file'
)


@dataclass(frozen=True)
class ImageRequest:
    """What the endpoint gets: an image, and what is asked about it."""

    image: bytes | Stored
    parameters: Parameters


@dataclass(frozen=True)
class Images:
    """The images of a request; a problem stands for one of several that cannot be sent."""

    each: tuple[ImageRequest | Problem, ...]
    is_batch: bool
    """Whether they are answered as `contract.BatchAnswer`, each with an answer or a problem."""

    @property
    def only(self) -> ImageRequest:
        """The image of a request that is no batch.

        Raises:
            Problem: it cannot be sent.
        """
        (image,) = self.each
        if isinstance(image, Problem):
            raise image
        return image


def read_request(event: APIGatewayProxyEvent, *, mode: ServingMode) -> Images:
    """Return the images of a request to an endpoint of this mode.

    Raises:
        Problem: the body is missing, too large or not of the form that it seems to have, its type cannot be an image's,
            or what is asked is not in `contract.ClassificationParameters`.
    """
    asked = from_texts(_query(event), what="The query string")
    body = body_of(event, how_to=_HOW_TO)

    content_type = event.headers.get("content-type") or ""
    kind = media_type_of(content_type, body)
    if kind is None:
        raise Problem(415, "Not an image", f"The content type is {content_type[:50]!r}; {_HOW_TO}.")
    if kind == JSON:
        content = read_json(body, mode=mode, how_to=_HOW_TO)
        return _images(content.images, content.is_batch, joined(asked, content.parameters))
    if kind == FORM:
        form = read_form(content_type, body)
        if not 1 <= len(form.files) <= MAX_BATCH:
            raise Problem(400, "No image", f"The form has {len(form.files)} files; send 1 to {MAX_BATCH}, as images.")
        images = tuple(_checked(file, mode) for file in form.files)
        return _images(images, len(images) > 1, joined(asked, from_texts(form.texts, what="The form")))
    return _images((_checked(body, mode),), False, joined(asked))


def _images(images: tuple[bytes | Stored | Problem, ...], is_batch: bool, asked: Parameters) -> Images:
    return Images(
        tuple(image if isinstance(image, Problem) else ImageRequest(image, asked) for image in images), is_batch
    )


def _checked(image: bytes, mode: ServingMode) -> bytes | Problem:
    if not image:
        return Problem(400, "No image", f"The file is empty; {_HOW_TO}.")
    try:
        check_size(len(image), mode=mode)
    except Problem as problem:
        return problem
    return image


def _query(event: APIGatewayProxyEvent) -> dict[str, list[str]]:
    return event.multi_value_query_string_parameters or {
        name: [value] for name, value in (event.query_string_parameters or {}).items()
    }


def body_of(event: APIGatewayProxyEvent, *, how_to: str) -> bytes:
    """Return the body of a request.

    Raises:
        Problem: there is none, or API Gateway's encoding of it is broken.
    """
    text = event.body or ""
    if not text:
        raise Problem(400, "No image", f"The request has no body; {how_to}.")
    if not event.is_base64_encoded:
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Problem(400, "Unreadable body", f"The body is not valid base64; {how_to}.") from None
