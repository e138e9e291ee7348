"""The rule Overtraining: the training went on although the losses no longer improved."""

from __future__ import annotations

import math
from typing import ClassVar

from training.debugger.rules.base import TensorRule
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["Overtraining"]


class _Best:
    """Keeps the lowest loss so far, and counts the steps since."""

    def __init__(self, delta: float):
        self._delta, self.loss, self.waited = delta, math.inf, 0

    def add(self, loss: float) -> None:
        """Take the next loss, which is an improvement only if it is lower by more than delta."""
        if loss < self.loss - self._delta:
            self.loss, self.waited = loss, 0
        else:
            self.waited += 1


class Overtraining(TensorRule):
    """The training went on although the losses no longer improved.

    The rule fires when the training loss has not improved by `delta` for more than `patience_train` steps and the
    validation loss has not improved by `delta` for more than `patience_validation` validations.

    Source: "Overtraining", List of Debugger built-in rules (Amazon SageMaker AI developer guide), which leaves open
    whether one of the two conditions is enough.
    """

    inspects: ClassVar[str] = "losses of training and validation (collection losses)"

    def __init__(self, base_trial: FinishedTrial, *, patience_train: int, patience_validation: int, delta: float):
        super().__init__(base_trial)
        self._patience_train, self._patience_validation, self._delta = patience_train, patience_validation, delta
        self._training, self._validation = _Best(delta), _Best(delta)

    def invoke_at_step(self, step: int) -> bool:
        """Take the losses of the step; at a validation, compare how long both have not improved."""
        losses = self.losses_at(step).values()
        best = self._training if self.in_training(step) else self._validation
        for loss in losses:
            best.add(loss)
        if not losses or self.in_training(step) or self._training.loss == math.inf:
            return False

        self.checks += 1
        waited = self._training.waited, self._validation.waited
        if waited[0] <= self._patience_train or waited[1] <= self._patience_validation:
            return False
        return self.fire(
            f"the validation loss has not fallen by more than delta {self._delta:g} below {self._validation.loss:.4g} "
            f"for {waited[1]} validations (patience_validation {self._patience_validation}), nor the training loss "
            f"below {self._training.loss:.4g} for {waited[0]} steps (patience_train {self._patience_train})"
        )
