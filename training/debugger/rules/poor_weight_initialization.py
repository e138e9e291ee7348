"""The rule PoorWeightInitialization: the first steps show that the initial weights are bad."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from training.debugger.rules.base import TensorRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["PoorWeightInitialization"]


class PoorWeightInitialization(TensorRule):
    """The initial weights are bad, as the first `steps` steps of the training show.

    The rule fires if at one of these steps

    - the variances of activation functions' inputs (`activation_inputs_regex`) differ between two layers by more than
      the factor `threshold`,
    - the 5th and the 95th percentile of a weight's gradient are closer than `distribution_range`, or
    - the loss has not fallen below its lowest value for `patience` steps.

    A check whose tensors were not saved is left out. A gradient of a single value has no percentiles.

    Source: "PoorWeightInitialization", List of Debugger built-in rules (Amazon SageMaker AI developer guide).
    """

    inspects: ClassVar[str] = "activation inputs, gradients or losses of the first steps"
    of_the_beginning: ClassVar[bool] = True

    def __init__(
        self,
        base_trial: FinishedTrial,
        *,
        activation_inputs_regex: str,
        threshold: float,
        distribution_range: float,
        patience: int,
        steps: int,
    ):
        super().__init__(base_trial)
        self._regexes, self._threshold, self._range = listed(activation_inputs_regex), threshold, distribution_range
        self._patience, self._steps = patience, steps
        self._lowest, self._waited = math.inf, 0

    def invoke_at_step(self, step: int) -> bool:
        """Make all three checks, if the step is one of the first of the training."""
        if not self.in_training(step) or int(self.trial.mode_step(step)) >= self._steps:
            return False
        return self._variances(step) or self._gradients(step) or self._loss(step)

    def _variances(self, step: int) -> bool:
        variances: dict[str, float] = {}
        for name in self.names_at(step, regexes=self._regexes):
            variance = self.trial.reduction_at(name, step, "variance")
            if variance is not None:
                variances[name] = variance
        if len(variances) < 2:
            return False
        self.checks += 1
        largest, smallest = max(variances, key=variances.__getitem__), min(variances, key=variances.__getitem__)
        ratio = variances[largest] / max(variances[smallest], 1e-30)
        if ratio <= self._threshold:
            return False
        return self.fire(
            f"the variance of {largest} is {variances[largest]:.3g} and that of {smallest} {variances[smallest]:.3g}: "
            f"{ratio:.3g} times, above threshold {self._threshold:g}"
        )

    def _gradients(self, step: int) -> bool:
        for name in self.weights_gradients_at(step):
            values = self.trial.value_at(name, step)
            if values is None or values.size < 2:
                continue
            self.checks += 1
            low, high = np.percentile(values, [5, 95])
            if high - low < self._range:
                return self.fire(
                    f"the 5th and 95th percentile of {name} are {high - low:.3g} apart, below distribution_range "
                    f"{self._range:g}"
                )
        return False

    def _loss(self, step: int) -> bool:
        losses = self.losses_at(step).values()
        for loss in losses:
            self.checks += 1
            self._waited = 0 if loss < self._lowest else self._waited + 1
            self._lowest = min(self._lowest, loss)
            if self._waited >= self._patience:
                return self.fire(
                    f"the loss is {loss:.4g} and has not come below {self._lowest:.4g} for {self._waited} steps "
                    f"(patience {self._patience})"
                )
        return False
