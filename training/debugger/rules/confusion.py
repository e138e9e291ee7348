"""Confusion."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from training.debugger.rules.base import DebugRule
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["Confusion"]


class Confusion(DebugRule):
    """The confusion matrix is bad: too little of what is predicted as a class is of it.

    With `confusion[label][prediction]` counted over the last validation (or, where validations were not saved, over the
    last step of training), the rule fires if for a class `confusion[i][i] / sum_j(confusion[j][i])` is below
    `min_diag`, or if `confusion[j][i] / sum_j(confusion[j][i])` of another is above `max_off_diag`. Classes that were
    not predicted are left out. `category_no` is the number of classes, else the largest number seen tells.

    Source: "Confusion", List of Debugger built-in rules (Amazon SageMaker AI developer guide). Its formula divides the
    diagonal by the diagonal's sum, of which no class of several could have nine tenths: it is taken as a slip.
    """

    inspects: ClassVar[str] = "labels and predictions of the same step (labels_collection, predictions_collection)"

    def __init__(
        self,
        base_trial: FinishedTrial,
        *,
        category_no: int | None,
        labels: str,
        predictions: str,
        labels_collection: str,
        predictions_collection: str,
        min_diag: float,
        max_off_diag: float,
    ):
        super().__init__(base_trial)
        self._categories, self._labels, self._predictions = category_no, labels, predictions
        self._collections = labels_collection, predictions_collection
        self._least, self._most = min_diag, max_off_diag
        self._last: dict[bool, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def invoke_at_step(self, step: int) -> bool:
        """Keep the last labels and predictions of training and of validation."""
        labels = self._one(step, self._collections[0], self._labels)
        predictions = self._one(step, self._collections[1], self._predictions)
        if labels is not None and predictions is not None:
            answers = predictions.argmax(axis=1) if predictions.ndim > 1 else predictions
            self._last[self.in_training(step)] = labels.astype(np.int64), answers.astype(np.int64)
        return False

    def invoke_at_end(self) -> bool:
        """Judge the matrix of the last validation."""
        pair = self._last.get(False, self._last.get(True))
        if pair is None:
            return False
        self.checks += 1
        categories = self._categories or int(max(part.max() for part in pair)) + 1
        confusion = np.zeros((categories, categories))
        np.add.at(confusion, pair, 1)
        predicted = confusion.sum(axis=0)
        shares = confusion / np.maximum(predicted, 1)
        for answer in np.flatnonzero(predicted):
            if shares[answer, answer] < self._least:
                return self.fire(
                    f"{shares[answer, answer]:.0%} of what is predicted as class {answer} is of it, below min_diag "
                    f"{self._least:g}"
                )
            others = np.where(np.arange(categories) == answer, 0, shares[:, answer])
            if others.max() > self._most:
                return self.fire(
                    f"{others.max():.0%} of what is predicted as class {answer} is class {others.argmax()}, above "
                    f"max_off_diag {self._most:g}"
                )
        return False

    def _one(self, step: int, collection: str, name: str) -> NDArray[Any] | None:
        names = self.names_at(step, collections=[collection])
        named = [found for found in names if name in found]
        return self.trial.value_at((named or names)[0], step) if names else None
