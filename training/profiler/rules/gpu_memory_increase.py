"""The profiler rule GPUMemoryIncrease: a GPU's memory suddenly fills."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule, no_gpu, too_few_samples

__all__ = ["GPUMemoryIncrease"]


class GPUMemoryIncrease(ProfilerRule):
    """A GPU's memory suddenly fills: the mean of `window` samples is more than `increase` points above the one before.

    Points are percent of the GPU's memory. The rule looks at samples from number `patience` on, since the beginning of
    a training always fills memory. It does not apply without a GPU.

    Source: "GPUMemoryIncrease", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "GPUMemoryIncrease"

    def __init__(self, *, increase: float, patience: int, window: int, scan_interval_us: int):
        super().__init__()
        self._increase, self._patience, self._window = increase, patience, window

    def inapplicable(self, seen: Measurements) -> str:
        """Give the reason without a GPU, or with too few samples."""
        if reason := no_gpu(seen):
            return reason
        return too_few_samples(seen, patience=self._patience)

    def invoke(self, seen: Measurements) -> bool:
        """Compare each window's mean with that of the window before, GPU by GPU."""
        largest = 0.0
        for name, values in seen.each_gpu_memory().items():
            later = values[max(self._patience - self._window, 0) :]
            whole = len(later) - len(later) % self._window
            means = np.asarray(later[:whole]).reshape(-1, self._window).mean(axis=1)
            for number, grown in enumerate(np.diff(means)):
                if grown > self._increase:
                    return self.fires(
                        f"the memory of {name} grew from {means[number]:.1f} to {means[number + 1]:.1f} % within"
                        f" {self._window} samples, by more than {self._increase:g} points"
                    )
                largest = max(largest, float(grown))
        return self.passes(f"memory grew by at most {largest:.1f} points; threshold {self._increase:g}")
