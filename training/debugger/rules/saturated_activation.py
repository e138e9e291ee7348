"""The rule SaturatedActivation: most of a layer's tanh or sigmoid functions are saturated."""

from __future__ import annotations

from typing import ClassVar

from training.debugger.rules.base import TensorRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["SaturatedActivation"]


class SaturatedActivation(TensorRule):
    """More than `threshold_layer` percent of a layer's tanh or sigmoid functions are saturated.

    A function is saturated if its input lies between the function's minimum and maximum threshold in less than
    `threshold_inactivity` percent of the cases. The tensor's name tells which function it is.

    Source: "SaturatedActivation", List of Debugger built-in rules (Amazon SageMaker AI developer guide).
    """

    inspects: ClassVar[str] = "inputs of tanh and sigmoid layers (tensor_regex)"

    def __init__(
        self,
        base_trial: FinishedTrial,
        *,
        collection_names: str | None,
        tensor_regex: str,
        threshold_tanh_min: float,
        threshold_tanh_max: float,
        threshold_sigmoid_min: float,
        threshold_sigmoid_max: float,
        threshold_inactivity: float,
        threshold_layer: float,
    ):
        super().__init__(base_trial)
        self._collections, self._regexes = listed(collection_names), listed(tensor_regex)
        self._tanh = (threshold_tanh_min, threshold_tanh_max)
        self._sigmoid = (threshold_sigmoid_min, threshold_sigmoid_max)
        self._inactivity, self._layer = threshold_inactivity, threshold_layer

    def invoke_at_step(self, step: int) -> bool:
        """Compare each layer's percentage of saturated functions with the threshold."""
        for name in self.names_at(step, collections=self._collections, regexes=self._regexes):
            within = self._tanh if "tanh" in name.lower() else self._sigmoid
            saturated = self.share_of_inactive(name, step, active=within, least=self._inactivity)
            if saturated is None:
                continue
            self.checks += 1
            if saturated > self._layer:
                return self.fire(
                    f"{saturated:.0f} % of {name} are saturated (outside {within[0]:g} to {within[1]:g}), "
                    f"threshold_layer {self._layer:g} %"
                )
        return False
