"""The profiler rule LoadBalancing: some GPUs or hosts work more than others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar, Final

import numpy as np

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule

__all__ = ["LoadBalancing"]

_BINS: Final = 10
"""The number of bins of a histogram from 0 to 100 %."""


class LoadBalancing(ProfilerRule):
    """Some GPUs work more than others: the distance between the histograms of two is above `threshold`.

    The page does not say which distance. Here it is half the sum of the absolute differences, from 0 (the same) to 1
    (nothing in common). Hosts without GPUs are compared by their cores. One GPU or host alone is not judged.

    Source: "LoadBalancing", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "LoadBalancing"

    def __init__(self, *, threshold: float, patience: int, scan_interval_us: int):
        super().__init__()
        self._threshold, self._patience = threshold, patience

    def inapplicable(self, seen: Measurements) -> str:
        """Give the reason with a single GPU or host, or with too few samples."""
        if seen.hosts * max(seen.gpus, 1) < 2:
            return f"there is one {'GPU' if seen.gpus else 'host'}, and nothing to balance"
        if len(seen.workloads) < 2:
            return "the other GPUs or hosts were not sampled"
        samples = min(len(values) for values in seen.workloads.values())
        if samples < self._patience:
            return f"training too short: {samples} samples, the rule wants {self._patience} (patience)"
        return ""

    def invoke(self, seen: Measurements) -> bool:
        """Compare the histograms of every two GPUs or hosts."""
        histograms = {name: _histogram(values) for name, values in seen.workloads.items()}
        distance, one, other = max(
            (float(np.abs(histograms[one] - histograms[other]).sum() / 2), one, other)
            for one, other in combinations(histograms, 2)
        )
        busy = " and ".join(f"{name} {np.mean(seen.workloads[name]):.0f} %" for name in (one, other))
        detail = (
            f"the histograms of {one} and {other} are {distance:.2f} apart, threshold {self._threshold:g}; mean {busy}"
        )
        return self.fires(detail) if distance > self._threshold else self.passes(detail)


def _histogram(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    counts, _ = np.histogram(np.asarray(values), bins=_BINS, range=(0, 100))
    shares: np.ndarray[tuple[int], np.dtype[np.float64]] = counts / len(values)
    return shares
