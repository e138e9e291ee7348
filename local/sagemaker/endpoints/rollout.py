"""Play a rollout: shift the requests step by step, bake, watch the alarms, and say why to go back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from local import clock
from local.sagemaker.endpoints.deployment import Rollout

__all__ = ["play"]

_LOOK_SECONDS: Final = 5.0
"""Seconds of the cloud's clock between two looks at the alarms."""

_SHORTEST_LOOK: Final = 0.05
"""The same in the machine's seconds, however fast the clock runs."""

_STOPPED: Final = "The local SageMaker was stopped."


def play(
    rollout: Rollout,
    *,
    shift: Callable[[float, str], None],
    alarm_states: Callable[[Sequence[str]], Mapping[str, str]],
    closing: threading.Event,
) -> str | None:
    """Shift the requests to the new fleet, and return the FailureReason if they have to go back; None if not.

    No request is shifted while an alarm is in ALARM already. Alarms are watched until the old fleet may end.

    Args:
        rollout: the steps, times and alarms.
        shift: sends this share of the requests to the new fleet; its second argument is the variants' status.
        alarm_states: the states of the alarms with these names, by name.
        closing: set when the service ends.
    """
    began = clock.monotonic()

    def wrong() -> str | None:
        if closing.is_set():
            return _STOPPED
        states = alarm_states(rollout.alarms) if rollout.alarms else {}
        tripped = [name for name in rollout.alarms if states.get(name) == "ALARM"]
        if tripped:
            # AWS documents no wording; nothing of this project reads it but people
            return (
                "The deployment was rolled back, because these CloudWatch alarms of its AutoRollbackConfiguration are "
                f"in the state ALARM: {', '.join(tripped)}."
            )
        if rollout.longest is not None and clock.monotonic() - began > rollout.longest:
            return f"The deployment did not finish within MaximumExecutionTimeoutInSeconds, {rollout.longest:g}."
        return None

    def bake(seconds: float) -> str | None:
        until = clock.monotonic() + seconds
        while (reason := wrong()) is None and (left := until - clock.monotonic()) > 0:
            closing.wait(max(_SHORTEST_LOOK, clock.real(min(left, _LOOK_SECONDS))))
        return reason

    reason = wrong()
    for share in rollout.shares:
        if reason is not None:
            return reason
        shift(share, "Baking" if rollout.wait else "ActivatingTraffic")
        reason = bake(rollout.wait)
    return reason if reason is not None else bake(rollout.termination_wait)
