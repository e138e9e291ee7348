"""What errors of AWS mean to a command, whose requests the SDK makes again where an answer got lost."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Final

import urllib3
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["is_gone", "read_object", "read_object_with_etag", "was_asked_again"]

_ATTEMPTS: Final = 4
"""As many as the SDK makes of a request (`cli.target.Target.client`)."""

_CUT_SHORT: Final = (IncompleteReadError, ResponseStreamingError, urllib3.exceptions.HTTPError)
"""What the SDK raises where the connection ends within a body that it hands on as a stream, and does not retry."""

_GONE: Final = ("NoSuch", "NotFound")
"""Parts of the codes with which services say that a thing is not there."""


def was_asked_again(error: ClientError) -> bool:
    """Return whether the SDK had made the request before, so that the error may tell of its own first attempt.

    The first one may have been carried out although no answer came; its name is taken then, or its token is used.
    """
    metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    return int(metadata.get("RetryAttempts", 0)) > 0


def is_gone(error: ClientError) -> bool:
    """Return whether an error says that what was asked for is not there."""
    found = error.response["Error"]
    return any(part in found["Code"] for part in _GONE) or "Could not find" in found.get("Message", "")


def read_object(s3: Any, *, bucket: str, key: str) -> bytes:
    """Return an object's content, read again where the connection ends within it.

    Args:
        s3: The S3 client.
        bucket: Name of the bucket.
        key: The object's key.

    Raises:
        ClientError: S3 refuses; `NoSuchKey` where there is none.
    """
    return _read(s3, Bucket=bucket, Key=key)[0]


def read_object_with_etag(s3: Any, *, bucket: str, key: str) -> tuple[bytes, str]:
    """Return an object's content and its ETag, as `read_object` does."""
    body, found = _read(s3, Bucket=bucket, Key=key)
    return body, found["ETag"]


def _read(s3: Any, **place: str) -> tuple[bytes, dict[str, Any]]:
    """Return an object's content, and GetObject's answer."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            found = s3.get_object(**place)
            return found["Body"].read(), found
        except _CUT_SHORT:
            if attempt == _ATTEMPTS:
                raise
        time.sleep(random.random() * 2 ** (attempt - 1))  # noqa: S311 (as the SDK's own retries, not a secret)
    raise AssertionError("unreachable")
