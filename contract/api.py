"""The API's requests and answers beside those that it shares with the endpoint (`contract.model`)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NotRequired, TypedDict

from contract.model import Answer, ClassificationParameters, ProblemDetails

__all__ = [
    "MAX_BATCH",
    "MAX_UPLOAD_BYTES",
    "ApiRequest",
    "BatchAnswer",
    "BatchItem",
    "Health",
    "Upload",
    "image_in",
]

MAX_BATCH: Final = 16
"""Most images of one request: as many as an endpoint answers within API Gateway's 29 seconds, one after the other."""

_DATA_URL: Final = re.compile(r"data:[^,]{0,100};base64,")
_URL_SAFE: Final = str.maketrans("-_", "+/")

MAX_UPLOAD_BYTES: Final = 25_000_000
"""Largest image that is uploaded first: what InvokeEndpoint takes, and the container, of a real-time endpoint."""


class ApiRequest(TypedDict):
    """A request to the API as JSON: one image, or several, which get a `BatchAnswer`; in `inputs` or in `s3`."""

    inputs: NotRequired[str | list[str]]
    """The image in base64, or up to `MAX_BATCH` of them; also URL-safe, with line breaks, or as a data: URL."""
    s3: NotRequired[str | list[str]]
    """The key of an image that was uploaded by an `Upload`, or up to `MAX_BATCH` of them."""
    parameters: NotRequired[ClassificationParameters]


class Upload(TypedDict):
    """The response of `POST /uploads`: where to POST a form with these fields and then the image, as `file`."""

    url: str
    fields: dict[str, str]
    s3: str
    """The image's key, for the `s3` of a request to classify it."""
    max_bytes: int
    """Largest image that S3 takes there."""
    expires_in: int
    """Seconds for which the form holds. The image is deleted a day later."""


class BatchItem(TypedDict):
    """What became of one image of several: either an answer or a problem."""

    answer: NotRequired[Answer]
    problem: NotRequired[ProblemDetails]


class BatchAnswer(TypedDict):
    """The response to several images."""

    answers: list[BatchItem]
    """In the order of the images."""


class Health(TypedDict):
    """The response of `GET /health` where there is a model."""

    status: str
    endpoint: str
    release: str
    """Name of the endpoint configuration in service."""
    since: NotRequired[str]
    """When it came into service, as ISO 8601; left out while the endpoint changes."""


def image_in(inputs: str) -> bytes:
    """Return the image in an `inputs`.

    Raises:
        ValueError: the text is no base64.
    """
    # browsers write a data: URL, other tools break base64 into lines or leave its end out
    begin = _DATA_URL.match(inputs)
    text = "".join(inputs[begin.end() if begin else 0 :].split()).translate(_URL_SAFE)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
