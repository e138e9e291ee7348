"""The events that start runs: what each says, and what identifies it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import contract

__all__ = ["TriggerEvent", "UnknownEventError", "read_event"]


class UnknownEventError(ValueError):
    """The event is none of those that start a run: somebody has added a target or invoked the function."""


@dataclass(frozen=True, kw_only=True)
class TriggerEvent:
    """An event that may start a run."""

    trigger: contract.Trigger
    at: datetime
    name: str
    """Of the execution that it starts; the same at each delivery."""
    comment: str
    """What happened, which the execution's input has as its comment: the same at each delivery, too."""


def read_event(event: Mapping[str, Any]) -> TriggerEvent:
    """Return what an event says.

    Raises:
        UnknownEventError: it is none of those that start a run.
    """
    kind, at = event.get("detail-type"), event.get("time", "")
    detail = event.get("detail")
    detail = detail if isinstance(detail, Mapping) else {}
    if kind == "Object Created":
        trigger: contract.Trigger = "ready"
        bucket, stored = detail["bucket"]["name"], detail["object"]
        # the sequencer tells two uploads of the same content apart ("Event message structure")
        version = stored.get("version-id") or stored.get("etag", "")
        identity = f"{bucket}/{stored['key']} {version} {stored.get('sequencer', '')}"
        comment = f"s3://{bucket}/{stored['key']} was uploaded at {at}"
    elif kind == contract.SCHEDULE_DETAIL_TYPE:
        trigger, identity, comment = "schedule", at, f"The schedule of {at}"
    elif kind == contract.DRIFT_DETAIL_TYPE:
        trigger, identity, comment = "drift", event["id"], f"Drift was found at {at}"
    else:
        raise UnknownEventError(
            f"an event of the type {kind!r} starts no run; expected Object Created, {contract.SCHEDULE_DETAIL_TYPE} or "
            f"{contract.DRIFT_DETAIL_TYPE}"
        )
    return TriggerEvent(
        trigger=trigger,
        at=datetime.fromisoformat(at),
        name=contract.triggered_name(trigger, identity),
        comment=comment,
    )
