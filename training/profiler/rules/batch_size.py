"""The profiler rule BatchSize: the batches are too small for the GPU."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule, no_gpu, percentile, too_few_samples, windows

__all__ = ["BatchSize"]


class BatchSize(ProfilerRule):
    """The batch is too small for the GPU: 95 % of the time its work, its memory and the CPU are all below a threshold.

    The rule looks at the last `window` samples, as means over the GPUs. A larger batch or a smaller instance would do.
    PyTorch's allocator keeps the memory it once used, so the GPU memory is the most that the training needed. The rule
    does not apply without a GPU.

    Source: "BatchSize", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "BatchSize"

    def __init__(
        self,
        *,
        cpu_threshold_p95: float,
        gpu_threshold_p95: float,
        gpu_memory_threshold_p95: float,
        patience: int,
        window: int,
        scan_interval_us: int,
    ):
        super().__init__()
        self._thresholds = {"cpu": cpu_threshold_p95, "gpu": gpu_threshold_p95, "gpu_memory": gpu_memory_threshold_p95}
        self._patience, self._window, self._scan = patience, window, scan_interval_us

    def inapplicable(self, seen: Measurements) -> str:
        """Give the reason without a GPU, without one of the counters, or with too few samples."""
        if reason := no_gpu(seen):
            return reason
        if missing := [name for name in self._thresholds if name not in seen.samples.values]:
            return f"{', '.join(missing)} were not sampled"
        return too_few_samples(seen, patience=self._patience)

    def invoke(self, seen: Measurements) -> bool:
        """Compare the three percentiles with their thresholds, scan by scan."""
        scans = [
            windows(
                seen.samples.values[name], patience=self._patience, window=self._window, scan_interval_us=self._scan
            )
            for name in self._thresholds
        ]

        # the rule fires at the first scan at which all three are below their thresholds
        detail = ""
        for parts in zip(*scans, strict=True):
            peaks = dict(zip(self._thresholds, (percentile(part, 95) for part in parts), strict=True))
            detail = ", ".join(f"{name} {peaks[name]:.0f} % (threshold {self._thresholds[name]:g})" for name in peaks)
            if all(peaks[name] < self._thresholds[name] for name in peaks):
                return self.fires(
                    f"with batches of {seen.batch_size}, p95 of all three is below its threshold: {detail}"
                )
        return self.passes(f"p95: {detail}")
