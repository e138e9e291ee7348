"""The rule DeadRelu: most of a layer's ReLUs never give a value above zero."""

from __future__ import annotations

import math
from typing import ClassVar

from training.debugger.rules.base import TensorRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["DeadRelu"]


class DeadRelu(TensorRule):
    """More than `threshold_layer` percent of a layer's ReLUs are dead.

    A ReLU is dead if its output is above zero in less than `threshold_inactivity` percent of the cases. All places of a
    convolution's channel count as one ReLU.

    Source: "DeadRelu", List of Debugger built-in rules (Amazon SageMaker AI developer guide).
    """

    inspects: ClassVar[str] = "outputs of ReLU layers (tensor_regex)"

    def __init__(
        self, base_trial: FinishedTrial, *, tensor_regex: str, threshold_inactivity: float, threshold_layer: float
    ):
        super().__init__(base_trial)
        self._regexes = listed(tensor_regex)
        self._inactivity, self._layer = threshold_inactivity, threshold_layer

    def invoke_at_step(self, step: int) -> bool:
        """Compare each layer's percentage of dead ReLUs with the threshold."""
        for name in self.names_at(step, regexes=self._regexes):
            dead = self.share_of_inactive(name, step, active=(0.0, math.inf), least=self._inactivity)
            if dead is None:
                continue
            self.checks += 1
            if dead > self._layer:
                return self.fire(
                    f"{dead:.0f} % of the ReLUs of {name} are dead (above zero in less than {self._inactivity:g} % of "
                    f"the cases), threshold_layer {self._layer:g} %"
                )
        return False
