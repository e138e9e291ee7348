"""The rule Overfit: the validation loss is far above the training loss."""

from __future__ import annotations

from statistics import fmean
from typing import ClassVar, Final

from training.debugger.rules.base import TensorRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["Overfit"]

_FITTED: Final = 0.01
"""A training loss below this counts as this: the ratio to it would only measure how long the training went on."""


class Overfit(TensorRule):
    """The model fits its training photos far better than the validation photos.

    At each validation the rule computes (mean validation loss - mean training loss) / mean training loss, over the
    steps since the validation before, and fires when this is above `ratio_threshold` for `patience` validations in a
    row. Steps before `start_step` do not count. The losses are those that match `tensor_regex`, or else those of the
    collection `losses`. A training loss below 0.01 counts as 0.01.

    Source: "Overfit", List of Debugger built-in rules (Amazon SageMaker AI developer guide), which leaves open over
    which steps the means are taken.
    """

    inspects: ClassVar[str] = "losses of training and validation (collection losses)"

    def __init__(
        self,
        base_trial: FinishedTrial,
        *,
        tensor_regex: str | None,
        start_step: int,
        patience: int,
        ratio_threshold: float,
    ):
        super().__init__(base_trial)
        self._regexes = listed(tensor_regex)
        self._start, self._patience, self._threshold = start_step, patience, ratio_threshold
        self._training: list[float] = []
        self._above = 0

    def invoke_at_step(self, step: int) -> bool:
        """Collect a training loss, or compare a validation loss with those collected."""
        losses = list(self.losses_at(step, regexes=self._regexes).values())
        if step < self._start or not losses:
            return False
        if self.in_training(step):
            self._training += losses
            return False
        if not self._training:
            return False

        # compare the means since the validation before
        training, validation = fmean(self._training), fmean(losses)
        self._training = []
        self.checks += 1
        ratio = (validation - training) / max(training, _FITTED)
        self._above = self._above + 1 if ratio > self._threshold else 0
        if self._above < self._patience:
            return False
        return self.fire(
            f"the validation loss {validation:.4g} is {ratio:.3g} times the training loss {training:.3g} above it, "
            f"ratio_threshold {self._threshold:g}, at {self._above} validations in a row (patience {self._patience})"
        )
