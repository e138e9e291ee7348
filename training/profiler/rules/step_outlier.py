"""StepOutlier."""

from __future__ import annotations

from typing import ClassVar, Final

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule

__all__ = ["StepOutlier"]

_FEWEST: Final = 20
"""Steps below which a standard deviation tells nothing."""


class StepOutlier(ProfilerRule):
    """Some steps are far slower than the others: over `n_outliers` are `stddev` standard deviations above the mean.

    A step's time is without validation and saving. `mode` TRAIN or none: only steps of training are timed.

    Source: "StepOutlier", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "StepOutlier"

    def __init__(self, *, stddev: float, mode: str | None, n_outliers: int, scan_interval_us: int):
        super().__init__()
        self._stddev, self._mode, self._ignored = stddev, mode, n_outliers

    def inapplicable(self, seen: Measurements) -> str:
        """When another mode is asked for, and when the training was too short."""
        if self._mode == "EVAL":
            return "validation is not timed step by step; give mode TRAIN or none"
        if seen.steps.steps < _FEWEST:
            return f"training too short: {seen.steps.steps} steps, the rule wants {_FEWEST}"
        return ""

    def invoke(self, seen: Measurements) -> bool:
        """Count them, and name the slowest with its phase."""
        steps = seen.steps
        limit = steps.limit(self._stddev)
        found = steps.longer_than(limit)
        slowest = steps.slowest[0]
        said = (
            f"{found} of {steps.steps} steps took longer than {1000 * limit:.1f} ms (mean {1000 * steps.mean:.1f} ms +"
            f" {self._stddev:g} standard deviations of {1000 * steps.deviation:.1f} ms), {self._ignored} may; the"
            f" slowest is step {slowest.step} with {1000 * slowest.seconds:.1f} ms, mostly in {slowest.phase}"
        )
        if found > self._ignored:
            self.step = slowest.step
            return self.fires(said)
        return self.passes(said)
