"""IOBottleneck."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.rules.bottleneck import Bottleneck

__all__ = ["IOBottleneck"]


class IOBottleneck(Bottleneck):
    """The GPU idles because disks are slow: more than `threshold` percent of the time.

    `gpu_threshold`: a GPU is idle up to here; `io_threshold`: the share of the cores' time with nothing to do but wait
    for a disk. Only Linux counts that; and what comes over the network, as photos in FastFile mode do, is not in it.
    Without a GPU it says nothing; the phase `data` of the profile shows the wait there.

    Source: "IOBottleneck", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "IOBottleneck"
    resource: ClassVar[str] = "io_wait"
    words: ClassVar[str] = "time spent waiting for disks"

    def __init__(
        self, *, threshold: float, gpu_threshold: float, io_threshold: float, patience: int, scan_interval_us: int
    ):
        super().__init__(threshold=threshold, gpu_threshold=gpu_threshold, limit=io_threshold, patience=patience)
