"""The profiler rule StepOutlier: some steps are far slower than the others."""

from __future__ import annotations

from typing import ClassVar, Final

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule

__all__ = ["StepOutlier"]

_FEWEST: Final = 20
"""Steps that the rule needs at least; the standard deviation of fewer says nothing."""


class StepOutlier(ProfilerRule):
    """Some steps are far slower than the others.

    The rule fires if more than `n_outliers` steps took longer than the mean plus `stddev` standard deviations. A step's
    time does not include validation and saving. Only steps of training are timed, so `mode` is TRAIN or none.

    Source: "StepOutlier", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "StepOutlier"

    def __init__(self, *, stddev: float, mode: str | None, n_outliers: int, scan_interval_us: int):
        super().__init__()
        self._stddev, self._mode, self._ignored = stddev, mode, n_outliers

    def inapplicable(self, seen: Measurements) -> str:
        """Give the reason for another mode, or with too few steps."""
        if self._mode == "EVAL":
            return "validation is not timed step by step; give mode TRAIN or none"
        if seen.steps.steps < _FEWEST:
            return f"training too short: {seen.steps.steps} steps, the rule wants {_FEWEST}"
        return ""

    def invoke(self, seen: Measurements) -> bool:
        """Count the outliers, and name the slowest step with its phase."""
        steps = seen.steps
        limit = steps.limit(self._stddev)
        found = steps.longer_than(limit)
        slowest = steps.slowest[0]
        detail = (
            f"{found} of {steps.steps} steps took longer than {1000 * limit:.1f} ms (mean {1000 * steps.mean:.1f} ms +"
            f" {self._stddev:g} standard deviations of {1000 * steps.deviation:.1f} ms), {self._ignored} may; the"
            f" slowest is step {slowest.step} with {1000 * slowest.seconds:.1f} ms, mostly in {slowest.phase}"
        )
        if found > self._ignored:
            self.step = slowest.step
            return self.fires(detail)
        return self.passes(detail)
