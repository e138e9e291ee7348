"""BatchSize."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule, no_gpu, percentile, too_few_samples, windows

__all__ = ["BatchSize"]


class BatchSize(ProfilerRule):
    """The batch is too small for the GPU: 95 % of the time its work, its memory and the CPU are all below a threshold.

    Looked at are the last `window` samples, the mean over the GPUs. A larger batch or a smaller instance would do.
    PyTorch's allocator keeps what it once used, so that memory is what the training needed at most. Without a GPU it
    says nothing.

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
        """Without a GPU, without its CPU's counters, and when the training was too short."""
        if reason := no_gpu(seen):
            return reason
        if missing := [name for name in self._thresholds if name not in seen.samples.values]:
            return f"{', '.join(missing)} were not watched"
        return too_few_samples(seen, patience=self._patience)

    def invoke(self, seen: Measurements) -> bool:
        """Compare the three, scan by scan."""
        scans = [
            windows(
                seen.samples.values[name], patience=self._patience, window=self._window, scan_interval_us=self._scan
            )
            for name in self._thresholds
        ]
        said = ""
        for parts in zip(*scans, strict=True):
            peaks = dict(zip(self._thresholds, (percentile(part, 95) for part in parts), strict=True))
            said = ", ".join(f"{name} {peaks[name]:.0f} % (threshold {self._thresholds[name]:g})" for name in peaks)
            if all(peaks[name] < self._thresholds[name] for name in peaks):
                return self.fires(f"with batches of {seen.batch_size}, p95 of all three is below its threshold: {said}")
        return self.passes(f"p95: {said}")
