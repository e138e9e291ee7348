"""The rule UnchangedTensor: a tensor no longer changes."""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from training.debugger.rules.base import TensorRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["UnchangedTensor"]


class UnchangedTensor(TensorRule):
    """A tensor no longer changes: its last `num_steps` saved values are equal.

    Values are equal if `numpy.allclose` with `rtol`, `atol` and `equal_nan` says so. Where only reductions of a tensor
    were saved, the rule compares these.

    Source: "UnchangedTensor", List of Debugger built-in rules (Amazon SageMaker AI developer guide).
    """

    inspects: ClassVar[str] = "the tensors of collection_names or tensor_regex"

    def __init__(
        self,
        base_trial: FinishedTrial,
        *,
        collection_names: str | None,
        tensor_regex: str | None,
        num_steps: int,
        rtol: float,
        atol: float,
        equal_nan: bool,
    ):
        super().__init__(base_trial)
        self._collections, self._regexes, self._steps = listed(collection_names), listed(tensor_regex), num_steps
        self._rtol, self._atol, self._equal_nan = rtol, atol, equal_nan
        self._last: defaultdict[str, deque[NDArray[Any]]] = defaultdict(lambda: deque(maxlen=num_steps))

    def waits_for(self) -> str:
        """Name the number of saved values that the rule compares."""
        return f"{self._steps} saved values of a tensor (num_steps)"

    def invoke_at_step(self, step: int) -> bool:
        """Compare each tensor of the step with its earlier values."""
        for name in self.names_at(step, collections=self._collections, regexes=self._regexes):
            value = self.trial.value_at(name, step)
            if value is None:
                value = np.array(list(self.trial.reductions_at(name, step).values()))
            last = self._last[name]
            last.append(value)
            if len(last) < self._steps:
                continue

            self.checks += 1
            if all(self._equal(one, other) for one, other in pairwise(last)):
                return self.fire(
                    f"{name} is the same at its last {self._steps} saved steps (num_steps, rtol {self._rtol:g}, "
                    f"atol {self._atol:g}); its largest absolute value is {np.abs(value).max(initial=0):.4g}"
                )
        return False

    def _equal(self, one: NDArray[Any], other: NDArray[Any]) -> bool:
        if one.shape != other.shape:
            return False
        return np.allclose(one, other, rtol=self._rtol, atol=self._atol, equal_nan=self._equal_nan)
