"""MaxInitializationTime."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule

__all__ = ["MaxInitializationTime"]


class MaxInitializationTime(ProfilerRule):
    """The first step came late: more than `threshold` minutes after the start.

    Of the training process's start: what SageMaker does before it (machines, image, input data) is not in it, and is in
    DescribeTrainingJob's SecondaryStatusTransitions. It judges every training.

    Source: "MaxInitializationTime", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "MaxInitializationTime"

    def __init__(self, *, threshold: float, scan_interval_us: int):
        super().__init__()
        self._threshold = threshold

    def inapplicable(self, seen: Measurements) -> str:
        """Where no step was made."""
        return "" if seen.steps.steps else "the training made no step"

    def invoke(self, seen: Measurements) -> bool:
        """Compare the time before the first step."""
        minutes = seen.initialization_seconds / 60
        said = f"the first step came {minutes:.1f} minutes after the process's start; threshold {self._threshold:g}"
        return self.fires(said) if minutes > self._threshold else self.passes(said)
