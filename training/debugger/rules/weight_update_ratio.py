"""The rule WeightUpdateRatio: a weight changes too much or too little."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from training.debugger.rules.base import WEIGHTS, TensorRule
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["WeightUpdateRatio"]


class WeightUpdateRatio(TensorRule):
    """The updates of a weight are too large or too small in relation to the weight.

    The ratio is the norm of the difference between two saved values of a weight, divided by the norm of the earlier one
    plus `epsilon`. The rule compares successive saved steps of the training, or with `num_steps` those that are at
    least that far apart. A weight that is still zero, as that of a new head, has no ratio.

    Source: "WeightUpdateRatio", List of Debugger built-in rules (Amazon SageMaker AI developer guide), which leaves
    open how the ratio of a tensor is computed.
    """

    inspects: ClassVar[str] = "weights of two steps (collection weights)"

    def __init__(
        self,
        base_trial: FinishedTrial,
        *,
        num_steps: int | None,
        large_threshold: float,
        small_threshold: float,
        epsilon: float,
    ):
        super().__init__(base_trial)
        self._steps, self._large, self._small, self._epsilon = num_steps or 1, large_threshold, small_threshold, epsilon
        self._earlier: dict[str, tuple[int, NDArray[Any]]] = {}

    def invoke_at_step(self, step: int) -> bool:
        """Compare each weight of the step with its earlier value."""
        if not self.in_training(step):
            return False
        for name in self.names_at(step, collections=[WEIGHTS]):
            value = self.trial.value_at(name, step)
            if value is None:
                continue

            # find the earlier value to compare with, and keep this one for the next comparison
            now = int(self.trial.mode_step(step))
            if name not in self._earlier:
                self._earlier[name] = now, value
                continue
            before, old = self._earlier[name]
            if now - before < self._steps:
                continue
            self._earlier[name] = now, value
            if not old.any():
                continue

            self.checks += 1
            ratio = float(np.linalg.norm(value - old) / (np.linalg.norm(old) + self._epsilon))
            if ratio > self._large:
                return self.fire(
                    f"{name} changed by {ratio:.3g} times itself since step {before}, above large_threshold "
                    f"{self._large:g}"
                )
            if ratio < self._small:
                return self.fire(
                    f"{name} changed by only {ratio:.3g} of itself since step {before}, below small_threshold "
                    f"{self._small:g}"
                )
        return False
