"""CPUBottleneck."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.rules.bottleneck import Bottleneck

__all__ = ["CPUBottleneck"]


class CPUBottleneck(Bottleneck):
    """The GPU idles because the CPU is at its limit: more than `threshold` percent of the time.

    `gpu_threshold`: a GPU is idle up to here; `cpu_threshold`: the cores, all together, are at their limit from here.
    Without a GPU it says nothing: on a CPU instance cores at their limit are the training itself.

    Source: "CPUBottleneck", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "CPUBottleneck"
    resource: ClassVar[str] = "cpu"
    words: ClassVar[str] = "CPU's utilisation"

    def __init__(
        self, *, threshold: float, gpu_threshold: float, cpu_threshold: float, patience: int, scan_interval_us: int
    ):
        super().__init__(threshold=threshold, gpu_threshold=gpu_threshold, limit=cpu_threshold, patience=patience)
