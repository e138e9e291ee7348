"""The rule ExplodingTensor: a tensor holds values that are not finite."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.debugger.rules.base import TensorRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["ExplodingTensor"]


class ExplodingTensor(TensorRule):
    """A tensor holds values that are infinite or NaN; with `only_nan`, NaN alone counts.

    Where only reductions of a tensor were saved, the rule looks at these: a NaN shows in every reduction, and an
    infinity in the minimum, maximum and mean.

    Source: "ExplodingTensor", List of Debugger built-in rules (Amazon SageMaker AI developer guide).
    """

    inspects: ClassVar[str] = "any tensor"

    def __init__(
        self, base_trial: FinishedTrial, *, collection_names: str | None, tensor_regex: str | None, only_nan: bool
    ):
        super().__init__(base_trial)
        self._collections, self._regexes, self._only_nan = listed(collection_names), listed(tensor_regex), only_nan

    def invoke_at_step(self, step: int) -> bool:
        """Look for a value that is not finite in each tensor of the step."""
        for name in self.names_at(step, collections=self._collections, regexes=self._regexes):
            values = self.trial.value_at(name, step)
            if values is None:
                values = np.array(list(self.trial.reductions_at(name, step).values()))

            self.checks += 1
            wrong = np.isnan(values) if self._only_nan else ~np.isfinite(values)
            if wrong.any():
                found = values[wrong].flat[0] if values.ndim else values
                return self.fire(f"{name} holds {float(found)}, in {wrong.mean():.0%} of its {values.size} values")
        return False
