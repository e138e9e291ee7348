"""TrainingJobEarlyStoppingType Auto: the median rule."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

__all__ = ["MedianRule"]

_MIN_TRIALS = 3
"""Completed trials before any is stopped: the median of fewer says little."""


class MedianRule:
    """Stops a trial whose best objective is worse than the median of the completed trials' running averages.

    As SageMaker documents it ("Stop Training Jobs Early"): after each epoch, here each time the objective is printed,
    a trial is compared with the running averages of the trials before it up to the same epoch.
    """

    def __init__(self, *, maximise: bool) -> None:
        self._sign = 1.0 if maximise else -1.0
        self._completed: list[list[float]] = []

    def should_stop(self, values: Sequence[float]) -> bool:
        """Whether a running trial that has printed these objectives should be stopped."""
        epoch = len(values)
        averages = [statistics.fmean(completed[:epoch]) for completed in self._completed if len(completed) >= epoch]
        if epoch == 0 or len(averages) < _MIN_TRIALS:
            return False
        best, middle = max(self._sign * value for value in values), statistics.median(averages)
        return best < middle and not math.isclose(best, middle)  # an average of equal numbers may be a bit above them

    def complete(self, values: Sequence[float]) -> None:
        """Tell the objectives of a trial that ran to its end."""
        self._completed.append([self._sign * value for value in values])
