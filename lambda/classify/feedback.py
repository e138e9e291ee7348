"""Feedback on answers: photos with their right labels, kept in the data bucket until a person has reviewed them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from shared.aws_errors import is_already_there

from contract import Feedback, FeedbackReceipt, feedback_id, feedback_key

from .photo_formats import suffix_of
from .problems import Problem
from .request_feedback import GivenFeedback
from .s3_client import new_s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["FeedbackInbox"]

logger = Logger(child=True)


class FeedbackInbox:
    """The feedback of one environment, which waits for `whippet feedback`."""

    def __init__(self, bucket: str, *, days: int) -> None:
        self._bucket = bucket
        self.days = days
        """Days for which it is kept (`api.feedback_days`); 0 where none is taken."""

    @cached_property
    def _s3(self) -> S3Client:
        """Made when the first photo is kept, and not at a cold start."""
        return new_s3_client()

    def check_open(self) -> None:
        """Check that feedback is taken.

        Raises:
            Problem: the environment takes none.
        """
        if not self.days:
            raise Problem(404, "No feedback", "This environment keeps no photos, and takes no feedback (api.feedback).")

    def keep(self, given: GivenFeedback, photo: bytes) -> FeedbackReceipt:
        """Keep a photo and its record, once however often they are sent.

        The answer is the same for the first and for any other time, so that nobody learns what others have sent.

        Raises:
            Problem: the photo is of no known format, or S3 does not take it.
        """
        suffix = suffix_of(photo)
        if suffix is None:
            raise Problem(
                415,
                "Not an image",
                "The photo is no JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF by its first bytes; send the one that was "
                "classified. Nothing was kept.",
            )
        content = hashlib.sha256(photo).hexdigest()
        identity = feedback_id(content, given.label)
        record: Feedback = {
            "id": identity,
            "photo": feedback_key(identity, suffix),
            "content": content,
            "label": given.label,
            "answered": given.answered,
            "run": given.run,
            "request_id": given.request_id,
            "received": datetime.now(tz=UTC).isoformat(timespec="seconds"),
            "consent": True,
        }
        # the record comes last: where it is, the photo is
        self._put(record["photo"], photo, "application/octet-stream")
        self._put(feedback_key(identity), json.dumps(record, ensure_ascii=False).encode(), "application/json")
        return {"id": identity, "days": self.days}

    def _put(self, key: str, body: bytes, content_type: str) -> None:
        """Write an object, unless it is there ("Conditional writes", S3 user guide), which needs no leave to read it.

        Raises:
            Problem: S3 does not take it.
        """
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
        except ClientError as error:
            if not is_already_there(error):
                raise _not_kept(error) from None
        except BotoCoreError as error:
            raise _not_kept(error) from None


def _not_kept(error: Exception) -> Problem:
    logger.warning("feedback cannot be kept", extra={"error": str(error)})
    return Problem(503, "Feedback not kept", "S3 did not take the photo; try again in some seconds.", retry_after=5)
