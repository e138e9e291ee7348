"""AllZero."""

from __future__ import annotations

from typing import ClassVar

from training.debugger.rules.base import DebugRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["AllZero"]


class AllZero(DebugRule):
    """At least `threshold` percent of a tensor's values are zero.

    Where only reductions were saved, a tensor is all zero if the largest of its absolute values is; a lower threshold
    than 100 cannot be judged by them.

    Source: "AllZero", List of Debugger built-in rules (Amazon SageMaker AI developer guide).
    """

    inspects: ClassVar[str] = "the tensors of collection_names or tensor_regex"

    def __init__(
        self, base_trial: FinishedTrial, *, collection_names: str | None, tensor_regex: str | None, threshold: float
    ):
        super().__init__(base_trial)
        self._collections, self._regexes, self._threshold = listed(collection_names), listed(tensor_regex), threshold

    def invoke_at_step(self, step: int) -> bool:
        """Count the zeros of each tensor."""
        for name in self.names_at(step, collections=self._collections, regexes=self._regexes):
            zeros = self._zeros(name, step)
            if zeros is None:
                continue
            self.checks += 1
            if zeros >= self._threshold:
                return self.fire(f"{zeros:.4g} % of {name} are zero, threshold {self._threshold:g} %")
        return False

    def _zeros(self, name: str, step: int) -> float | None:
        values = self.trial.value_at(name, step)
        if values is not None:
            return float(100 * (values == 0).mean())
        for reduction in ("max", "mean", "l2", "l1", "sum"):
            largest = self.trial.reduction_at(name, step, reduction, absolute=True)
            if largest is not None and (largest == 0 or self._threshold >= 100):
                return 100.0 if largest == 0 else 0.0
        return None
