"""The median stopping rule of `TrainingJobEarlyStoppingType: Auto`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

__all__ = ["MedianRule"]

_MIN_TRIALS = 3
"""Completed trials before any trial is stopped, since the median of fewer says little."""


class MedianRule:
    """Stop a trial whose best objective is worse than the median of the completed trials' running averages.

    The rule is SageMaker's ("Stop Training Jobs Early", developer guide). After each epoch, here each time the
    objective is printed, a trial is compared with the averages of the completed trials up to the same epoch.
    """

    def __init__(self, *, maximise: bool) -> None:
        self._sign = 1.0 if maximise else -1.0
        self._completed: list[list[float]] = []

    def should_stop(self, values: Sequence[float]) -> bool:
        """Return whether a running trial that has printed these objectives should be stopped."""
        epoch = len(values)
        averages = [statistics.fmean(completed[:epoch]) for completed in self._completed if len(completed) >= epoch]
        if epoch == 0 or len(averages) < _MIN_TRIALS:
            return False

        # rounding may put the average of equal numbers a bit above them
        best, median = max(self._sign * value for value in values), statistics.median(averages)
        return best < median and not math.isclose(best, median)

    def complete(self, values: Sequence[float]) -> None:
        """Add the objectives of a trial that ran to its end."""
        self._completed.append([self._sign * value for value in values])
