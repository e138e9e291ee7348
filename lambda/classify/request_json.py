"""A request as JSON in Hugging Face's shape, `contract.ApiRequest`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from contract import MAX_BATCH, ApiRequest, ServingMode, image_in

from .image_limits import check_size_as_json
from .problems import Problem
from .request_parameters import Parameters, check_names, from_json
from .uploads import check_key

__all__ = ["JsonRequest", "Stored", "read_json"]

_HOW_TO: Final = (
    "send the image's bytes with an image/* content type, or JSON with the image in base64 as "
    '{"inputs": "…", "parameters": {"top_k": 5}}'
)
_FIELDS: Final = tuple(ApiRequest.__annotations__)
_PLACES: Final = ("inputs", "s3")
"""Where the images may be."""


@dataclass(frozen=True)
class Stored:
    """An image that was uploaded to S3."""

    key: str


@dataclass(frozen=True)
class JsonRequest:
    """The images of a request, or what is wrong with one of several, and what is asked about them."""

    images: tuple[bytes | Stored | Problem, ...]
    is_batch: bool
    parameters: Parameters


def read_json(body: bytes, *, mode: ServingMode) -> JsonRequest:
    """Return what a JSON body holds.

    Raises:
        Problem: it is no JSON or not of this shape, or its images are too large together.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise Problem(400, "Not JSON", f"The body is taken for JSON, but is none: {reason}; {_HOW_TO}.") from None
    if not isinstance(content, dict):
        raise Problem(400, "No image", f'The JSON has no "inputs"; {_HOW_TO}.')
    check_names(content, known=_FIELDS, what="The JSON")
    place = _only_place(content)
    texts = _texts(content[place], place)

    images: tuple[bytes | Stored | Problem, ...]
    if place == "inputs":
        check_size_as_json(sum(len(text) * 3 // 4 - text[-2:].count("=") for text in texts), mode=mode)
        images = tuple(_image(text) for text in texts)
    else:
        images = tuple(Stored(check_key(text)) for text in texts)
    return JsonRequest(images, isinstance(content[place], list), from_json(content.get("parameters", {})))


def _only_place(content: dict[str, Any]) -> str:
    """Return where the images are: `inputs` or `s3`.

    Raises:
        Problem: in neither, or in both.
    """
    given = [place for place in _PLACES if place in content]
    if len(given) != 1:
        raise Problem(400, "No image", f"The JSON has {' and '.join(given) or 'no inputs'}; {_HOW_TO}.")
    return given[0]


def _texts(given: Any, place: str) -> list[str]:
    """Return the images in base64, or their keys.

    Raises:
        Problem: there is none, there are too many, or one is no text.
    """
    texts = given if isinstance(given, list) else [given]
    if not all(isinstance(each, str) and each for each in texts) or not texts:
        raise Problem(400, "No image", f'"{place}" is no text, and no list of texts; {_HOW_TO}.')
    if len(texts) > MAX_BATCH:
        raise Problem(
            400,
            "Too many images",
            f'"{place}" has {len(texts)} images, more than {MAX_BATCH}; send them in several requests, or many photos '
            "with `whippet classify FOLDER`.",
        )
    return texts


def _image(text: str) -> bytes | Problem:
    try:
        return image_in(text)
    except ValueError as error:
        return Problem(400, "Unreadable image", f'"inputs" is not base64 ({error}); {_HOW_TO}.')
