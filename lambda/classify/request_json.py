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

__all__ = ["JsonImages", "JsonRequest", "Stored", "images_in_json", "json_object", "read_json"]

_FIELDS: Final = tuple(ApiRequest.__annotations__)
_PLACES: Final = ("inputs", "s3")
"""Where the images may be."""


@dataclass(frozen=True)
class Stored:
    """An image that was uploaded to S3."""

    key: str


@dataclass(frozen=True)
class JsonImages:
    """The images of a request, or what is wrong with one of several."""

    images: tuple[bytes | Stored | Problem, ...]
    is_batch: bool
    """Whether they stand in a list."""


@dataclass(frozen=True)
class JsonRequest(JsonImages):
    """The images of a request, and what is asked about them."""

    parameters: Parameters


def read_json(body: bytes, *, mode: ServingMode, how_to: str) -> JsonRequest:
    """Return what a JSON body holds.

    Args:
        body: the JSON.
        mode: the endpoint's.
        how_to: how a request should be, as a clause.

    Raises:
        Problem: it is no JSON or not of this shape, or its images are too large together.
    """
    content = json_object(body, how_to=how_to)
    check_names(content, known=_FIELDS, what="The JSON")
    found = images_in_json(content, mode=mode, how_to=how_to)
    return JsonRequest(found.images, found.is_batch, from_json(content.get("parameters", {})))


def json_object(body: bytes, *, how_to: str) -> dict[str, Any]:
    """Return the object that a body is.

    Raises:
        Problem: it is no JSON, or no object.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise Problem(400, "Not JSON", f"The body is taken for JSON, but is none: {reason}; {how_to}.") from None
    if not isinstance(content, dict):
        raise Problem(400, "No image", f'The JSON has no "inputs"; {how_to}.')
    return content


def images_in_json(content: dict[str, Any], *, mode: ServingMode, how_to: str) -> JsonImages:
    """Return the images of an object's `inputs` or `s3`.

    Raises:
        Problem: it has none of them or both, or its images are too large together.
    """
    place = _only_place(content, how_to)
    texts = _texts(content[place], place, how_to)

    images: tuple[bytes | Stored | Problem, ...]
    if place == "inputs":
        check_size_as_json(sum(len(text) * 3 // 4 - text[-2:].count("=") for text in texts), mode=mode)
        images = tuple(_image(text, how_to) for text in texts)
    else:
        images = tuple(Stored(check_key(text)) for text in texts)
    return JsonImages(images, isinstance(content[place], list))


def _only_place(content: dict[str, Any], how_to: str) -> str:
    """Return where the images are: `inputs` or `s3`.

    Raises:
        Problem: in neither, or in both.
    """
    given = [place for place in _PLACES if place in content]
    if len(given) != 1:
        raise Problem(400, "No image", f"The JSON has {' and '.join(given) or 'no inputs'}; {how_to}.")
    return given[0]


def _texts(given: Any, place: str, how_to: str) -> list[str]:
    """Return the images in base64, or their keys.

    Raises:
        Problem: there is none, there are too many, or one is no text.
    """
    texts = given if isinstance(given, list) else [given]
    if not all(isinstance(each, str) and each for each in texts) or not texts:
        raise Problem(400, "No image", f'"{place}" is no text, and no list of texts; {how_to}.')
    if len(texts) > MAX_BATCH:
        raise Problem(
            400,
            "Too many images",
            f'"{place}" has {len(texts)} images, more than {MAX_BATCH}; send them in several requests, or many photos '
            "with `whippet classify FOLDER`.",
        )
    return texts


def _image(text: str, how_to: str) -> bytes | Problem:
    try:
        return image_in(text)
    except ValueError as error:
        return Problem(400, "Unreadable image", f'"inputs" is not base64 ({error}); {how_to}.')
