"""What starts runs by itself: an object READY, a schedule, drift.

The execution's name says which, and of which event: StartExecution takes a name once in 90 days, so that an event that
is delivered twice starts one run.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Final, Literal, TypedDict, get_args

from contract.names import RELEASES_PREFIX

__all__ = [
    "SCHEDULE_DETAIL_TYPE",
    "START_HOLD",
    "Trigger",
    "TriggerOutcome",
    "start_lock_key",
    "trigger_of",
    "triggered_name",
]

Trigger = Literal["ready", "schedule", "drift"]

SCHEDULE_DETAIL_TYPE: Final = "Scheduled Run"
"""`detail-type` of what the stack's schedule hands on."""

START_HOLD: Final = timedelta(minutes=2)
"""How long an event's start is in the way of others: ListExecutions is eventually consistent, and may not show the
execution that it started until then. It is longer than Step Functions' delay, and shorter than Lambda's attempts."""

_DIGITS: Final = 32
_NAME: Final = re.compile(rf"({'|'.join(get_args(Trigger))})-[0-9a-f]{{{_DIGITS}}}")


class TriggerOutcome(TypedDict):
    """What came of an event."""

    trigger: Trigger
    execution: str
    """ARN of the execution that was started, or was before by the same event; empty where none was."""
    why_not: str
    """Why none was started; empty where one was."""


def triggered_name(trigger: Trigger, event: str) -> str:
    """Return the name of the execution that an event starts; `event` is the same at each delivery of it."""
    return f"{trigger}-{hashlib.sha256(event.encode()).hexdigest()[:_DIGITS]}"


def start_lock_key(prefix: str) -> str:
    """Return the key of the lock that lets one event after another start a run; no record of a release has such one."""
    return f"{RELEASES_PREFIX}start_{prefix}.json"


def trigger_of(execution: str) -> Trigger | None:
    """Return what started an execution, by its name; None for one that a person or another program started."""
    match = _NAME.fullmatch(execution)
    trigger: Trigger | None = None if match is None else match[1]  # type: ignore[assignment]
    return trigger
