"""Asking SageMaker about a job that may never have been started."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .run_files import Missing

__all__ = ["NotStarted", "described", "seconds_between"]

_UNKNOWN = ("ResourceNotFound", "ValidationException")
"""What the Describe calls answer for a job that does not exist."""


class NotStarted(Missing):
    """There is no such job: the run did not come that far, or needed none."""


def described(call: Callable[[], Any], *, job: str) -> Any:
    """The answer of a Describe or List call.

    Raises:
        NotStarted: there is no such job.
        Missing: SageMaker did not answer.
    """
    try:
        return call()
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNKNOWN:
            raise NotStarted(f"The run started no job {job}.") from None
        raise Missing(f"SageMaker does not tell of {job}: {error}.") from None
    except BotoCoreError as error:
        raise Missing(f"SageMaker does not tell of {job}: {error}.") from None


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """None where a job has not started or not ended."""
    return (end - start).total_seconds() if start and end else None
