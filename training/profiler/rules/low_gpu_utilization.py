"""The profiler rule LowGPUUtilization: a GPU has too little to do."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule, no_gpu, percentile, too_few_samples, windows

__all__ = ["LowGPUUtilization"]


class LowGPUUtilization(ProfilerRule):
    """A GPU has too little to do, or its work fluctuates.

    A GPU has too little to do if the 95th percentile of the last `window` samples is below `threshold_p95`. Its work
    fluctuates if that percentile is above the threshold and the 5th percentile below `threshold_p5`. The rule looks at
    each GPU by itself and does not apply without one.

    Source: "LowGPUUtilization", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "LowGPUUtilization"

    def __init__(self, *, threshold_p95: float, threshold_p5: float, window: int, patience: int, scan_interval_us: int):
        super().__init__()
        self._p95, self._p5 = threshold_p95, threshold_p5
        self._window, self._patience, self._scan = window, patience, scan_interval_us

    def inapplicable(self, seen: Measurements) -> str:
        """Give the reason without a GPU, or with too few samples."""
        if reason := no_gpu(seen):
            return reason
        return too_few_samples(seen, patience=self._patience)

    def invoke(self, seen: Measurements) -> bool:
        """Compare each GPU's percentiles with the thresholds, scan by scan."""
        usage = []
        for name, values in seen.each_gpu().items():
            high = low = 0.0
            for part in windows(values, patience=self._patience, window=self._window, scan_interval_us=self._scan):
                high, low = percentile(part, 95), percentile(part, 5)
                if high < self._p95:
                    return self.fires(f"{name} has too little to do: p95 {high:.0f} %, below {self._p95:g}")
                if low < self._p5:
                    return self.fires(
                        f"the work of {name} fluctuates: p95 {high:.0f} %, but p5 {low:.0f} %, below {self._p5:g}"
                    )
            usage.append(f"{name} p95 {high:.0f} %, p5 {low:.0f} %")
        return self.passes("; ".join(usage))
