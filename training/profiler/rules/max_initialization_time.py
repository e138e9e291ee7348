"""The profiler rule MaxInitializationTime: the first step came late."""

from __future__ import annotations

from typing import ClassVar

from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule

__all__ = ["MaxInitializationTime"]


class MaxInitializationTime(ProfilerRule):
    """The first step came late: more than `threshold` minutes after the training process's start.

    What SageMaker does before that (machines, image, input data) is not included; DescribeTrainingJob reports it as
    SecondaryStatusTransitions. The rule applies to every training that made a step.

    Source: "MaxInitializationTime", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """

    rule_name: ClassVar[str] = "MaxInitializationTime"

    def __init__(self, *, threshold: float, scan_interval_us: int):
        super().__init__()
        self._threshold = threshold

    def inapplicable(self, seen: Measurements) -> str:
        """Give the reason for a training without a step."""
        return "" if seen.steps.steps else "the training made no step"

    def invoke(self, seen: Measurements) -> bool:
        """Compare the time before the first step with the threshold."""
        minutes = seen.initialization_seconds / 60
        detail = f"the first step came {minutes:.1f} minutes after the process's start; threshold {self._threshold:g}"
        return self.fires(detail) if minutes > self._threshold else self.passes(detail)
