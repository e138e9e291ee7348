"""The rule VanishingGradient: a weight's gradient is extremely small or zero."""

from __future__ import annotations

from typing import ClassVar

from training.debugger.rules.base import TensorRule
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["VanishingGradient"]


class VanishingGradient(TensorRule):
    """A gradient became extremely small or zero: the mean of its absolute values is below `threshold`.

    Gradients of biases are left out, for the reason that `weights_gradients_at` gives.

    Source: "VanishingGradient", List of Debugger built-in rules (Amazon SageMaker AI developer guide).
    """

    inspects: ClassVar[str] = "gradients (collection gradients)"

    def __init__(self, base_trial: FinishedTrial, *, threshold: float):
        super().__init__(base_trial)
        self._threshold = threshold

    def invoke_at_step(self, step: int) -> bool:
        """Compare the mean absolute value of each gradient of the step with the threshold."""
        for name in self.weights_gradients_at(step):
            mean = self.trial.reduction_at(name, step, "mean", absolute=True)
            if mean is None:
                continue
            self.checks += 1
            if mean < self._threshold:
                return self.fire(f"the mean of |{name}| is {mean:.3g}, below threshold {self._threshold:g}")
        return False
