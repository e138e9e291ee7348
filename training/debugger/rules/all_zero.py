"""The rule AllZero: most of a tensor's values are zero."""

from __future__ import annotations

from typing import ClassVar

from training.debugger.rules.base import TensorRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["AllZero"]


class AllZero(TensorRule):
    """At least `threshold` percent of a tensor's values are zero.

    Where only reductions of a tensor were saved, the tensor is all zero if a reduction of its absolute values is zero.
    Reductions cannot tell how many values are zero, so with a `threshold` below 100 a tensor that is not all zero by
    them is passed over.

    Source: "AllZero", List of Debugger built-in rules (Amazon SageMaker AI developer guide).
    """

    inspects: ClassVar[str] = "the tensors of collection_names or tensor_regex"

    def __init__(
        self, base_trial: FinishedTrial, *, collection_names: str | None, tensor_regex: str | None, threshold: float
    ):
        super().__init__(base_trial)
        self._collections, self._regexes, self._threshold = listed(collection_names), listed(tensor_regex), threshold

    def invoke_at_step(self, step: int) -> bool:
        """Compare the percentage of zeros in each tensor with the threshold."""
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
            reduced = self.trial.reduction_at(name, step, reduction, absolute=True)
            if reduced is not None and (reduced == 0 or self._threshold >= 100):
                return 100.0 if reduced == 0 else 0.0
        return None
