"""VanishingGradient."""

from __future__ import annotations

from typing import ClassVar

from training.debugger.rules.base import DebugRule
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["VanishingGradient"]


class VanishingGradient(DebugRule):
    """Gradients became extremely small or zero: the mean of a gradient's absolute values is below `threshold`.

    Gradients of biases are left out, see `weights_gradients_at`.

    Source: "VanishingGradient", List of Debugger built-in rules (Amazon SageMaker AI developer guide).
    """

    inspects: ClassVar[str] = "gradients (collection gradients)"

    def __init__(self, base_trial: FinishedTrial, *, threshold: float):
        super().__init__(base_trial)
        self._threshold = threshold

    def invoke_at_step(self, step: int) -> bool:
        """Compare each gradient saved at the step."""
        for name in self.weights_gradients_at(step):
            mean = self.trial.reduction_at(name, step, "mean", absolute=True)
            if mean is None:
                continue
            self.checks += 1
            if mean < self._threshold:
                return self.fire(f"the mean of |{name}| is {mean:.3g}, below threshold {self._threshold:g}")
        return False
