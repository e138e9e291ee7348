"""The local cloud's clock: the machine's own, or a faster one.

A night passes in a minute at a speed of 720. Every wait, time-out, schedule and idle time of the local cloud, and every
time in its records, follows this clock. What a program computes does not get faster, so the limits on one answer stay
in the machine's time: a Lambda function's time-out, API Gateway's 29 s, the 60 s of an invocation.

The functions are those of the module `time`, so that this module can stand in its place.
"""

from __future__ import annotations

import math
import os
import threading
import time as machine
from typing import Final

__all__ = ["SPEED_VARIABLE", "chosen_speed", "monotonic", "real", "set_speed", "sleep", "time", "wait"]

SPEED_VARIABLE: Final = "WHIPPET_CLOCK_SPEED"
_MAX_SPEED: Final = 10_000.0


class _Clock:
    """A clock that shows the machine's time at `since`, and from then on runs `speed` times as fast."""

    def __init__(self, speed: float, *, since: float, reached: float) -> None:
        self.speed = speed
        self._since = since
        self._reached = reached

    def elapsed(self) -> float:
        return self._reached + (machine.monotonic() - self._since) * self.speed


_started: Final = (machine.time(), machine.monotonic())
_clock = _Clock(1.0, since=_started[1], reached=0.0)


def chosen_speed() -> float:
    """Return the speed that WHIPPET_CLOCK_SPEED asks for; 1 without it.

    Raises:
        ValueError: it is not a number from 1 to 10,000.
    """
    text = os.environ.get(SPEED_VARIABLE, "1")
    try:
        return _checked(float(text))
    except ValueError:
        raise ValueError(f"{SPEED_VARIABLE}={text} is not a number from 1 to {_MAX_SPEED:,.0f}") from None


def set_speed(speed: float) -> None:
    """Run `speed` times as fast as the machine's clock from now on. The clock does not jump.

    Raises:
        ValueError: the speed is not from 1 to 10,000.
    """
    global _clock
    _clock = _Clock(_checked(speed), since=machine.monotonic(), reached=_clock.elapsed())


def time() -> float:
    """Return the seconds since 1970."""
    return _started[0] + _clock.elapsed()


def monotonic() -> float:
    """Return the seconds since some point in the past; they never go back."""
    return _started[1] + _clock.elapsed()


def real(seconds: float) -> float:
    """Return how long so many seconds of this clock take on the machine's, in seconds."""
    return seconds / _clock.speed


def sleep(seconds: float) -> None:
    """Wait so many seconds of this clock."""
    machine.sleep(real(seconds))


def wait(event: threading.Event, seconds: float) -> bool:
    """Wait for the event, at most so many seconds of this clock, and return whether it is set."""
    return event.wait(real(seconds))


def _checked(speed: float) -> float:
    if not math.isfinite(speed) or not 1 <= speed <= _MAX_SPEED:
        raise ValueError(f"a clock's speed is a number from 1 to {_MAX_SPEED:,.0f}, not {speed}")
    return speed
