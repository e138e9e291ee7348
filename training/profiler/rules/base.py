"""The base class of the profiler rules, and what several of them use.

SageMaker documents what its rules mean ("List of Debugger built-in profiler rules", and the docstrings of the package
smdebug-rulesconfig, which declares their parameters). The rules here follow that page, on this project's own
measurements and once the training is over. Each docstring says what was decided where the page leaves something open.
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
    """A profiler rule, which looks at a whole training's measurements once the training is over.

    A rule's parameters are the keyword arguments of its `__init__`, under their documented names. `contract.RULES`
    holds their defaults.
    """

    rule_name: ClassVar[str]

    def __init__(self) -> None:
        self.detail = ""
        """The values and thresholds that the rule compared, once it was invoked."""
        self.step: int | None = None
        """The step that made the rule fire, if a single step did."""

    @abstractmethod
    def inapplicable(self, seen: Measurements) -> str:
        """Return why the rule does not apply to this training; empty where it does."""

    @abstractmethod
    def invoke(self, seen: Measurements) -> bool:
        """Return whether the rule fires."""

    def fires(self, detail: str) -> bool:
        """Keep the detail, and return True."""
        self.detail = detail
        return True

    def passes(self, detail: str) -> bool:
        """Keep the detail, and return False."""
        self.detail = detail
        return False


def no_gpu(seen: Measurements) -> str:
    """Return why a rule about GPUs does not apply: there is no GPU, or none could be sampled; else an empty text."""
    if not seen.gpus:
        return "this instance has no GPU"
    if not seen.each_gpu():
        return "the GPUs were not sampled" + "".join(f" ({failure})" for failure in seen.samples.failures)
    return ""


def too_few_samples(seen: Measurements, *, patience: int) -> str:
    """Return why a rule that needs `patience` samples does not apply; empty where there are enough."""
    samples = len(seen.samples.times)
    if samples >= patience:
        return ""
    return f"training too short: {samples} samples, the rule wants {patience} (patience), one every {INTERVAL:g} s"


def windows(values: Sequence[float], *, patience: int, window: int, scan_interval_us: int) -> Iterator[Sequence[float]]:
    """Yield the last `window` samples at each scan, as a rule sees them that scans a running training.

    The first scan is when there are `patience` samples. Others follow every `scan_interval_us`, the last at the
    training's end.
    """
    scan = max(1, round(scan_interval_us / 1e6 / INTERVAL))
    ends = list(range(patience, len(values), scan))
    for end in [*ends, len(values)]:
        yield values[max(end - window, 0) : end]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile of the values, interpolated."""
    return float(np.percentile(np.asarray(values), percent))


def percentiles(values: Sequence[float]) -> str:
    """Return the median and the 5th and 95th percentile in words."""
    return ", ".join(f"p{percent} {percentile(values, percent):.0f} %" for percent in (5, 50, 95))
