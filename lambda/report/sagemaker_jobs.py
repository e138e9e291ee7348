"""Calls of SageMaker about jobs that may never have been started."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from shared.aws_errors import is_missing_job

from .run_files import Missing

__all__ = ["NotStarted", "described", "seconds_between"]


class NotStarted(Missing):
    """There is no such job: the run did not come that far, or did not need it."""


def described(call: Callable[[], Any], *, job: str) -> Any:
    """Return the answer of a Describe or List call about a job.

    Raises:
        NotStarted: there is no such job.
        Missing: SageMaker did not answer.
    """
    try:
        return call()
    except ClientError as error:
        if is_missing_job(error):
            raise NotStarted(f"The run started no job {job}.") from None
        raise Missing(f"SageMaker could not be asked about {job}: {error}.") from None
    except BotoCoreError as error:
        raise Missing(f"SageMaker could not be asked about {job}: {error}.") from None


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Return the seconds between two times; None where a job has not started or not ended."""
    return (end - start).total_seconds() if start and end else None
