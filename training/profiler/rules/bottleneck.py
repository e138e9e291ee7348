"""What CPUBottleneck and IOBottleneck share: the GPU idles while something else is at its limit."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule, no_gpu, too_few_samples

__all__ = ["Bottleneck"]


class Bottleneck(ProfilerRule):
    """More than `threshold` percent of the time, the GPUs are below `gpu_threshold` and the other above its own."""

    resource: ClassVar[str]
    """What may hold up the GPU: a name of `training.system_probes`."""
    words: ClassVar[str]

    def __init__(self, *, threshold: float, gpu_threshold: float, limit: float, patience: int):
        super().__init__()
        self._threshold, self._gpu_threshold, self._limit = threshold, gpu_threshold, limit
        self._patience = patience

    def inapplicable(self, seen: Measurements) -> str:
        """Without a GPU, where the system does not show the resource, and when the training was too short."""
        if reason := no_gpu(seen):
            return reason
        if self.resource not in seen.samples.values:
            return f"the {self.words} was not watched on this system"
        return too_few_samples(seen, patience=self._patience)

    def invoke(self, seen: Measurements) -> bool:
        """Count the samples in which one waits for the other."""
        pairs = list(zip(seen.samples.values["gpu"], seen.samples.values[self.resource], strict=True))
        held_up = sum(gpu <= self._gpu_threshold and other >= self._limit for gpu, other in pairs)
        share = 100 * held_up / len(pairs)
        said = (
            f"in {share:.0f} % of {len(pairs)} samples the GPU was at most {self._gpu_threshold:g} % busy while the"
            f" {self.words} was at least {self._limit:g} %; threshold {self._threshold:g} %"
        )
        return self.fires(said) if share > self._threshold else self.passes(said)
