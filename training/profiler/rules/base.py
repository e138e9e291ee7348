"""What the profiler rules have in common.

What they mean is documented by SageMaker ("List of Debugger built-in profiler rules", and the docstrings of the package
smdebug-rulesconfig, which declares their parameters). These follow it on measurements of our own, once the training is
over, and say where they had to decide something it leaves open.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from training.profiler.measurements import Measurements
from training.profiler.system_sampler import INTERVAL

__all__ = ["ProfilerRule", "no_gpu", "percentile", "percentiles", "too_few_samples", "windows"]


class ProfilerRule(ABC):
    """A rule that looks at a whole training's measurements once it is over.

    A rule's parameters are the keyword arguments of its `__init__`, by their documented names; the defaults are
    `contract.RULES`'.
    """

    rule_name: ClassVar[str]

    def __init__(self) -> None:
        self.detail = ""
        """Once invoked: which values, against which thresholds."""
        self.step: int | None = None
        """The step that made it fire, if it was one."""

    @abstractmethod
    def inapplicable(self, seen: Measurements) -> str:
        """Why the rule can say nothing of this training; empty where it can."""

    @abstractmethod
    def invoke(self, seen: Measurements) -> bool:
        """Whether it fires."""

    def fires(self, detail: str) -> bool:
        """True, with a reason."""
        self.detail = detail
        return True

    def passes(self, detail: str) -> bool:
        """False, with what was looked at."""
        self.detail = detail
        return False


def no_gpu(seen: Measurements) -> str:
    """The reason of a rule about GPUs where there is none, or none could be watched."""
    if not seen.gpus:
        return "this instance has no GPU"
    if not seen.each_gpu():
        return "the GPUs were not watched" + "".join(f" ({failure})" for failure in seen.samples.failures)
    return ""


def too_few_samples(seen: Measurements, *, patience: int) -> str:
    """The reason of a rule that looks at more samples than there are."""
    samples = len(seen.samples.times)
    if samples >= patience:
        return ""
    return f"training too short: {samples} samples, the rule wants {patience} (patience), one every {INTERVAL:g} s"


def windows(values: Sequence[float], *, patience: int, window: int, scan_interval_us: int) -> Iterator[Sequence[float]]:
    """What a rule sees that looks at the last `window` samples each time it scans a running training.

    First when there are `patience` samples, then every `scan_interval_us`, and at the training's end.
    """
    scan = max(1, round(scan_interval_us / 1e6 / INTERVAL))
    ends = list(range(patience, len(values), scan))
    for end in [*ends, len(values)]:
        yield values[max(end - window, 0) : end]


def percentile(values: Sequence[float], percent: float) -> float:
    """Of the values, interpolated."""
    return float(np.percentile(np.asarray(values), percent))


def percentiles(values: Sequence[float]) -> str:
    """The middle and the ends of the values, for people."""
    return ", ".join(f"p{percent} {percentile(values, percent):.0f} %" for percent in (5, 50, 95))
