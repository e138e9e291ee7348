"""CPUBottleneck and IOBottleneck: the GPU idles while another resource is at its limit."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule, no_gpu, too_few_samples

__all__ = ["CPUBottleneck", "IOBottleneck"]


class _Bottleneck(ProfilerRule):
    """Fires if for more than `threshold` percent of the samples the GPUs idle while a resource is at its limit."""

    resource: ClassVar[str]
    """The resource that may hold up the GPU: a name of `training.profiler.system_probes`."""
    words: ClassVar[str]
    """The same for the detail."""

    def __init__(self, *, threshold: float, gpu_threshold: float, limit: float, patience: int):
        super().__init__()
        self._threshold, self._gpu_threshold, self._limit = threshold, gpu_threshold, limit
        self._patience = patience

    def inapplicable(self, seen: Measurements) -> str:
        """Give the reason without a GPU, where the system does not show the resource, or with too few samples."""
        if reason := no_gpu(seen):
            return reason
        if self.resource not in seen.samples.values:
            return f"the {self.words} was not sampled on this system"
        return too_few_samples(seen, patience=self._patience)

    def invoke(self, seen: Measurements) -> bool:
        """Count the samples in which the GPU waits for the resource."""
        pairs = list(zip(seen.samples.values["gpu"], seen.samples.values[self.resource], strict=True))
        held_up = sum(gpu <= self._gpu_threshold and other >= self._limit for gpu, other in pairs)
        share = 100 * held_up / len(pairs)
        detail = (
            f"in {share:.0f} % of {len(pairs)} samples the GPU was at most {self._gpu_threshold:g} % busy while the"
            f" {self.words} was at least {self._limit:g} %; threshold {self._threshold:g} %"
        )
        return self.fires(detail) if share > self._threshold else self.passes(detail)


class CPUBottleneck(_Bottleneck):
    """The GPU idles because the CPU is at its limit, for more than `threshold` percent of the time.

    A GPU idles while it is at most `gpu_threshold` percent busy; the CPU is at its limit while all cores together are
    at least `cpu_threshold` percent busy. The rule does not apply without a GPU: on a CPU instance, busy cores are the
    training itself.

    Source: "CPUBottleneck", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "CPUBottleneck"
    resource: ClassVar[str] = "cpu"
    words: ClassVar[str] = "CPU's utilisation"

    def __init__(
        self, *, threshold: float, gpu_threshold: float, cpu_threshold: float, patience: int, scan_interval_us: int
    ):
        super().__init__(threshold=threshold, gpu_threshold=gpu_threshold, limit=cpu_threshold, patience=patience)


class IOBottleneck(_Bottleneck):
    """The GPU idles because disks are slow, for more than `threshold` percent of the time.

    A GPU idles while it is at most `gpu_threshold` percent busy; disks are slow while cores spend at least
    `io_threshold` percent of their time waiting for a disk with nothing else to do. Only Linux counts that time, and it
    does not include what comes over the network, as photos in FastFile mode do. The rule does not apply without a GPU;
    the profile's phase `data` shows the wait there.

    Source: "IOBottleneck", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "IOBottleneck"
    resource: ClassVar[str] = "io_wait"
    words: ClassVar[str] = "time spent waiting for disks"

    def __init__(
        self, *, threshold: float, gpu_threshold: float, io_threshold: float, patience: int, scan_interval_us: int
    ):
        super().__init__(threshold=threshold, gpu_threshold=gpu_threshold, limit=io_threshold, patience=patience)
