"""OverallSystemUsage."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule, percentiles

__all__ = ["OverallSystemUsage"]


class OverallSystemUsage(ProfilerRule):
    """Tells how busy the machine was: percentiles of the CPU, memory, waiting for disks and the GPUs. It never fires.

    Source: "OverallSystemUsage", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "OverallSystemUsage"

    def __init__(self, *, scan_interval_us: int):
        super().__init__()

    def inapplicable(self, seen: Measurements) -> str:
        """Where nothing could be watched."""
        return "" if self._watched(seen) else "nothing was watched: " + "; ".join(seen.samples.failures)

    def invoke(self, seen: Measurements) -> bool:
        """Sum up."""
        values = seen.samples.values
        usage = "; ".join(f"{name} {percentiles(values[name])}" for name in self._watched(seen))
        return self.passes(f"{len(seen.samples.times)} samples: {usage}")

    @staticmethod
    def _watched(seen: Measurements) -> list[str]:
        names = ("cpu", "memory", "io_wait", "gpu", "gpu_memory")
        return [name for name in names if seen.samples.values.get(name)]
