"""Whether somebody who holds the release lock will not give it back any more."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_execution

import contract

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

__all__ = ["is_abandoned"]


def is_abandoned(states: SFNClient, lock: contract.ReleaseLock, *, now: datetime) -> bool:
    """Return whether a command's time is up, or an execution has ended and its tidy-up must have, too."""
    if lock["until"]:
        return now >= datetime.fromisoformat(lock["until"])
    try:
        described = states.describe_execution(executionArn=lock["holder"])
    except ClientError as error:
        # executions are kept for 90 days, and go with their state machine
        if is_missing_execution(error):
            return True
        raise
    if described["status"] == "RUNNING":
        return False
    return described["status"] == "SUCCEEDED" or now - described["stopDate"] >= contract.TIDYING
