"""Let what waits in ministack, and what is compared with it, follow the local cloud's clock.

These are state machines, schedules and queues, and the times of metrics, of parameters and of objects.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from local import clock
from local.cloud import seam

__all__ = ["apply", "now_iso"]

_FOLLOWING: Final = (
    "services.stepfunctions",
    "services.eventbridge",
    "services.scheduler",
    "services.sqs",
    "services.cloudwatch",
)


def apply() -> None:
    """Put `local.clock` where these modules have Python's `time`, and let the times of executions follow it.

    Raises:
        SeamError: a module does not use `time` as expected.
    """
    for name in _FOLLOWING:
        module = seam.module(name)
        seam.expect(module, "time")
        module.time = clock

    states = seam.module("services.stepfunctions")
    seam.expect(states, "now_iso")
    seam.expect(states, "_sleep_until", "iso_ts")
    states.now_iso = now_iso
    states._sleep_until = _sleep_until

    # whether photos have changed since a run began is read from both times
    objects = seam.module("services.s3")
    seam.expect(objects, "now_iso")
    objects.now_iso = now_iso

    parameters = seam.module("services.ssm")
    seam.expect(parameters, "_now_epoch")
    parameters._now_epoch = clock.time


def now_iso() -> str:
    """Return the clock's time as AWS's APIs write it, in UTC with milliseconds."""
    return datetime.fromtimestamp(clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _sleep_until(iso_ts: Any) -> None:
    """Wait until a Wait state's Timestamp; a text that is none does not wait, as in ministack."""
    try:
        moment = datetime.fromisoformat(str(iso_ts)).timestamp()
    except ValueError:
        return
    clock.sleep(max(0.0, moment - clock.time()))
