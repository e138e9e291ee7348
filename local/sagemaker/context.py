"""The context that all operations share: the cloud around the service, its records, its folder and its events."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from local import clock
from local.sagemaker.account import Account
from local.sagemaker.errors import JobFailure
from local.sagemaker.host import Host, Image
from local.sagemaker.jobs.stopping import StopPolicy
from local.sagemaker.object_cache import ObjectCache
from local.sagemaker.resources import (
    ENDPOINT,
    MODEL_PACKAGE,
    PROCESSING_JOB,
    TRAINING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    Kind,
)
from local.sagemaker.start_times import START_TIMES, are_played
from local.sagemaker.store import Store

__all__ = ["INTERNAL_ERROR", "MAX_REASON", "Context"]

_LOGGER = logging.getLogger(__name__)

MAX_REASON: Final = 1024
"""Characters that a FailureReason may have (SageMaker's service model)."""

INTERNAL_ERROR: Final = "InternalServerError: We encountered an internal error. Please try again."

_LINGER_POLL: Final = 0.1
"""Seconds after which the account document is asked again how long something lasts."""

_EVENTS: Final[dict[Kind, str]] = {
    TRAINING_JOB: "SageMaker Training Job State Change",
    TUNING_JOB: "SageMaker HyperParameter Tuning Job State Change",
    PROCESSING_JOB: "SageMaker Processing Job State Change",
    TRANSFORM_JOB: "SageMaker Transform Job State Change",
    ENDPOINT: "SageMaker Endpoint State Change",
    MODEL_PACKAGE: "SageMaker Model Package State Change",
}


@dataclass(frozen=True)
class Context:
    """The parts that every operation may need.

    Attributes:
        host: the cloud around the service.
        images: the local programs that stand for container images.
        root: folder of the jobs' and endpoints' files.
        store: the records of every resource.
        cache: objects that were downloaded from S3.
        account: the account's faults, quotas and names, and what takes its time in it.
        stopping: how training jobs are ended.
        closing: set when the service ends; everything that runs must then end at once.
    """

    host: Host
    images: Sequence[Image]
    root: Path
    store: Store
    cache: ObjectCache
    account: Account
    stopping: StopPolicy = field(default_factory=StopPolicy)
    closing: threading.Event = field(default_factory=threading.Event)

    def credentials(self, role_arn: str, session_name: str) -> dict[str, str]:
        """Return `AWS_…` variables with credentials of the role.

        Raises:
            JobFailure: the role cannot be assumed.
        """
        try:
            return self.host.credentials(role_arn, session_name)
        except Exception as error:
            raise JobFailure(f"ClientError: Cannot assume the role {role_arn}: {error}") from error

    def linger(self, seconds: Callable[[], float]) -> None:
        """Wait until `seconds`, which is asked again and again, have passed, or the service closes."""
        begin = clock.monotonic()
        while clock.monotonic() - begin < seconds() and not self.closing.wait(_LINGER_POLL):
            pass

    def start_up(self, kind: str, *, stopped: threading.Event | None = None) -> None:
        """Wait as long as SageMaker takes to start something, where WHIPPET_START_TIMES asks for it.

        Args:
            kind: a key of `START_TIMES`.
            stopped: ends the wait.
        """
        if are_played():
            seconds = START_TIMES[kind].seconds
            self.linger(lambda: 0.0 if stopped is not None and stopped.is_set() else seconds)

    def announce(self, kind: Kind, name: str, **members: Any) -> None:
        """Publish the resource's state to EventBridge, with `members` added to the event's detail.

        It never raises: an event that cannot be published is logged, and the resource goes on.
        """
        try:
            record = self.store.get(kind, name)
            detail = {key: _milliseconds(key, value) for key, value in record.items() if value is not None}
            detail |= {"Tags": self.store.tags(record[kind.arn_member]), **members}
            self.host.publish(detail_type=_EVENTS[kind], detail=detail, resources=[record[kind.arn_member]])
        except Exception:
            _LOGGER.exception("the event of %s %s was not published", kind.name, name)


def _milliseconds(key: str, value: Any) -> Any:
    """Return the value with times as milliseconds, as SageMaker's events have them."""
    if isinstance(value, dict):
        return {name: _milliseconds(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_milliseconds(key, item) for item in value]
    return int(value * 1000) if key.endswith("Time") and isinstance(value, float) else value
