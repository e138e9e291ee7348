"""The profiler rule Dataloader: too few or too many threads decode photos."""

from __future__ import annotations

from typing import ClassVar, Final

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule

__all__ = ["Dataloader"]

_WAITS: Final = 0.5
"""The share of the steps' time from which waiting is an issue: the training waits longer than it works."""

_MATTERS: Final = 1.0
"""Seconds of waiting from which it is an issue. Half a second of reading does not matter in a head's training."""


class Dataloader(ProfilerRule):
    """Too many threads decode photos for the cores, or the training waits for data.

    SageMaker's rule compares loader processes with cores: fewer than `min_threshold` percent of the cores are an issue,
    and more than `max_threshold` percent. Here threads decode the photos. On a CPU instance they share the cores with
    the network, so a few threads are right as long as nothing waits for them. This project therefore decided two
    things: few threads are an issue only when the training waits for data for half of its steps' time or more, and such
    a training is an issue however many threads it has. With features, which need no decoding, only the wait counts.

    Source: "Dataloader", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "Dataloader"

    def __init__(self, *, min_threshold: float, max_threshold: float, scan_interval_us: int):
        super().__init__()
        self._min, self._max = min_threshold, max_threshold

    def inapplicable(self, seen: Measurements) -> str:
        """Give the reason for a training without a step."""
        return "" if seen.steps.steps else "the training made no step"

    def invoke(self, seen: Measurements) -> bool:
        """Compare the threads with the cores, and the time of waiting with that of the steps."""
        percent = 100 * seen.decoding_threads / seen.cpus
        workers = f"{seen.decoding_threads} decoding threads on {seen.cpus} cores are {percent:.0f} %"
        waited = seen.steps.phases["data"]
        wait = f"{waited:.1f} s, {seen.waiting_share:.0%} of the steps' time, went by waiting for data"
        if percent > self._max:
            return self.fires(f"{workers}, above max_threshold {self._max:g} %; {wait}")
        if seen.waiting_share >= _WAITS and waited >= _MATTERS:
            if not seen.decoding_threads:
                return self.fires(f"{wait}; the features come slower than the head learns from them")
            short = percent < self._min
            return self.fires(f"{wait}; {workers}" + (f", below min_threshold {self._min:g} %" if short else ""))
        return self.passes(f"{wait}; {workers}" if seen.decoding_threads else wait)
