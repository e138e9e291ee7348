"""Photos that are uploaded to S3 before they are classified, as they are larger than a request to Lambda may be."""

from __future__ import annotations

import re
import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from shared.aws_errors import is_unreadable_object

from contract import MAX_SERVERLESS_IMAGE_BYTES, MAX_UPLOAD_BYTES, UPLOADS_PREFIX, ServingMode, Upload

from .image_limits import too_large
from .problems import Problem
from .s3_client import new_s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Uploads", "check_key"]

logger = Logger(child=True)

_EXPIRES: Final = 600
"""Seconds for which a form holds: an upload takes seconds to minutes, and is begun at once."""

_KEY: Final = re.compile(re.escape(UPLOADS_PREFIX) + r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Nothing else can be named, so that no request reaches another object than an upload."""


class Uploads:
    """The uploads of one environment."""

    def __init__(self, bucket: str, *, mode: ServingMode) -> None:
        self._bucket = bucket
        self._max_bytes = MAX_UPLOAD_BYTES if mode == "realtime" else MAX_SERVERLESS_IMAGE_BYTES

    @cached_property
    def _s3(self) -> S3Client:
        """Made when the first photo is uploaded, and not at a cold start."""
        return new_s3_client()

    def begin(self) -> Upload:
        """Return where and how a photo can be uploaded; S3 holds the caller to the key, the size and the time.

        Raises:
            Problem: the environment takes no uploads.
        """
        self._check_offered()
        key = f"{UPLOADS_PREFIX}{uuid.uuid4()}"
        form = self._s3.generate_presigned_post(
            self._bucket, key, Conditions=[["content-length-range", 1, self._max_bytes]], ExpiresIn=_EXPIRES
        )
        return {
            "url": form["url"],
            "fields": form["fields"],
            "s3": key,
            "max_bytes": self._max_bytes,
            "expires_in": _EXPIRES,
        }

    def read(self, key: str) -> bytes:
        """Return an uploaded photo.

        Args:
            key: as `check_key` takes it.

        Raises:
            Problem: it is not there, too large for the endpoint, or S3 does not give it.
        """
        self._check_offered()
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=key)
            if found["ContentLength"] > self._max_bytes:
                raise too_large(found["ContentLength"], self._max_bytes)
            return found["Body"].read()
        except ClientError as error:
            if is_unreadable_object(error):
                raise Problem(
                    404,
                    "No such upload",
                    f"There is no photo {key}: it was not uploaded, or a day ago; ask POST /uploads for a place, and "
                    "POST the form with the photo there first.",
                ) from None
            raise _unreadable(error) from None
        except BotoCoreError as error:
            raise _unreadable(error) from None

    def _check_offered(self) -> None:
        if not self._bucket:
            raise Problem(
                404,
                "No uploads",
                "This environment takes no uploads, as its bucket is not the stack's own (dataset.bucket): send a "
                "smaller photo to POST /classify.",
            )


def check_key(key: str) -> str:
    """Return the key of an upload.

    Raises:
        Problem: it is another's.
    """
    if not _KEY.fullmatch(key):
        raise Problem(
            400, "Unreadable key", f'"s3" is {key[:80]!r}; give the "s3" that POST /uploads has answered, as it is.'
        )
    return key


def _unreadable(error: Exception) -> Problem:
    logger.warning("an upload cannot be read", extra={"error": str(error)})
    return Problem(503, "Upload not readable", "S3 did not give the photo; try again in some seconds.", retry_after=5)
