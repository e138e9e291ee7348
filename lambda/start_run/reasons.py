"""Why an event starts no run: one goes on, or drift started one a few days ago."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import contract

from .event import TriggerEvent

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import ExecutionListItemTypeDef

__all__ = ["Reason", "going_on", "why_not"]


@dataclass(frozen=True)
class Reason:
    """Why no run is started."""

    text: str
    """A sentence without a full stop."""
    is_told: bool
    """Whether a person who counts on the run should know."""


def going_on(states: SFNClient, machine: str) -> list[ExecutionListItemTypeDef]:
    """Return the executions that go on, the newest first."""
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine, statusFilter="RUNNING")
    return [execution for page in pages for execution in page["executions"]]


def why_not(
    event: TriggerEvent,
    running: Sequence[ExecutionListItemTypeDef],
    *,
    states: SFNClient,
    s3: S3Client,
    machine: str,
    bucket: str,
    prefix: str,
    drift_days: int,
) -> Reason | None:
    """Return why no run is started; None where one should be.

    Args:
        event: The event.
        running: What `going_on` returned.
        states: The client of Step Functions.
        s3: The client of S3.
        machine: ARN of the state machine.
        bucket: Name of the data bucket.
        prefix: Key prefix of the data set, with a slash at its end.
        drift_days: Days between two runs that drift starts.
    """
    if event.trigger == "ready":
        for execution in running:
            if _prefix_of(states, execution, default=prefix) != prefix:
                continue
            if not _changed(s3, bucket=bucket, prefix=prefix, since=execution["startDate"]):
                return Reason(
                    f"{_run(execution)} goes on, which began after the last change below s3://{bucket}/{prefix}", True
                )
        return None

    # drift is told by its own alarm, as long as it lasts
    if running:
        return Reason(f"{_run(running[0])} goes on", event.trigger == "schedule")
    if event.trigger == "drift":
        last = _last_of_drift(states, machine, since=event.at - timedelta(days=drift_days))
        if last is not None:
            return Reason(f"drift started {_run(last)} less than {drift_days} days ago (triggers.drift_days)", False)
    return None


def _run(execution: ExecutionListItemTypeDef) -> str:
    started = execution["startDate"]
    return f"run {contract.run_id(execution['name'], started=started)} of {started:%Y-%m-%d %H:%M} UTC"


def _prefix_of(states: SFNClient, execution: ExecutionListItemTypeDef, *, default: str) -> str:
    """Return the key prefix of the photos of a run, which its input may override."""
    given = json.loads(states.describe_execution(executionArn=execution["executionArn"]).get("input", "{}"))
    chosen = given.get("dataset_prefix", default) if isinstance(given, dict) else default
    return str(chosen)


def _changed(s3: S3Client, *, bucket: str, prefix: str, since: datetime) -> bool:
    """Return whether anything but READY was written or deleted below a prefix since a moment.

    What was deleted is known in a bucket with versions, which the stack's own is.
    """
    ready = f"{prefix}{contract.READY_FILE}"
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        changes = ((item["Key"], item["LastModified"]) for item in page.get("Versions", []))
        deletions = ((item["Key"], item["LastModified"]) for item in page.get("DeleteMarkers", []))
        if any(key != ready and at >= since for key, at in (*changes, *deletions)):
            return True
    return False


def _last_of_drift(states: SFNClient, machine: str, *, since: datetime) -> ExecutionListItemTypeDef | None:
    return next(
        (each for each in _newest(states, machine, since) if contract.trigger_of(each["name"]) == "drift"), None
    )


def _newest(states: SFNClient, machine: str, since: datetime) -> Iterator[ExecutionListItemTypeDef]:
    for page in states.get_paginator("list_executions").paginate(stateMachineArn=machine):
        for execution in page["executions"]:
            if execution["startDate"] <= since:
                return
            yield execution
