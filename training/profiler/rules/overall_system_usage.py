"""The profiler rule OverallSystemUsage: how busy the machine was."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule, percentiles

__all__ = ["OverallSystemUsage"]


class OverallSystemUsage(ProfilerRule):
    """Reports percentiles of the CPU, the memory, the wait for disks and the GPUs. The rule never fires.

    Source: "OverallSystemUsage", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "OverallSystemUsage"

    def __init__(self, *, scan_interval_us: int):
        super().__init__()

    def inapplicable(self, seen: Measurements) -> str:
        """Give the reason where nothing could be sampled."""
        return "" if self._sampled(seen) else "nothing was sampled: " + "; ".join(seen.samples.failures)

    def invoke(self, seen: Measurements) -> bool:
        """Report the percentiles of each resource."""
        values = seen.samples.values
        usage = "; ".join(f"{name} {percentiles(values[name])}" for name in self._sampled(seen))
        return self.passes(f"{len(seen.samples.times)} samples: {usage}")

    @staticmethod
    def _sampled(seen: Measurements) -> list[str]:
        names = ("cpu", "memory", "io_wait", "gpu", "gpu_memory")
        return [name for name in names if seen.samples.values.get(name)]
