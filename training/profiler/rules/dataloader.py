"""Dataloader."""

from __future__ import annotations

from typing import ClassVar, Final

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule

__all__ = ["Dataloader"]

_WAITS: Final = 0.5
"""Of the steps' time: a training that waits longer for its photos than it works on them."""

_MATTERS: Final = 1.0
"""Seconds; of a head that trains in less, half a second of reading is nothing to look into."""


class Dataloader(ProfilerRule):
    """Too few loader workers for the cores, or too many: under `min_threshold` percent of them, over `max_threshold`.

    SageMaker's compares processes with cores. Here photos are decoded by threads, which on a CPU instance share the
    cores with the network, so that few are right as long as nothing waits for them. Hence two decisions of ours: few
    workers are an issue only of a training that waits for data during half of its steps' time or more; and such a
    training is one however many workers it has. With features, where there are no workers, only the wait is judged.

    Source: "Dataloader", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "Dataloader"

    def __init__(self, *, min_threshold: float, max_threshold: float, scan_interval_us: int):
        super().__init__()
        self._min, self._max = min_threshold, max_threshold

    def inapplicable(self, seen: Measurements) -> str:
        """Where no step was made."""
        return "" if seen.steps.steps else "the training made no step"

    def invoke(self, seen: Measurements) -> bool:
        """Compare threads with cores, and waiting with work."""
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
