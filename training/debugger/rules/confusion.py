"""The rule Confusion: the confusion matrix of the last validation is bad."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from training.debugger.rules.base import TensorRule
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["Confusion"]


class Confusion(TensorRule):
    """Too little of what is predicted as a class is of that class.

    `confusion[label][prediction]` is counted over the last validation (or, where validations were not saved, over the
    last step of training). The rule fires if for a class i, `confusion[i][i] / sum_j(confusion[j][i])` is below
    `min_diag`, or if for another class j, `confusion[j][i] / sum_j(confusion[j][i])` is above `max_off_diag`. Classes
    that were never predicted are left out. `category_no` is the number of classes; without it, the largest class number
    that occurs decides.

    Source: "Confusion", List of Debugger built-in rules (Amazon SageMaker AI developer guide). The page's formula
    divides by the sum of the diagonal, of which no class of several could have nine tenths; that is taken for a slip.
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
            predicted = predictions.argmax(axis=1) if predictions.ndim > 1 else predictions
            self._last[self.in_training(step)] = labels.astype(np.int64), predicted.astype(np.int64)
        return False

    def invoke_at_end(self) -> bool:
        """Compare the shares of the last validation's confusion matrix with the thresholds."""
        pair = self._last.get(False, self._last.get(True))
        if pair is None:
            return False

        # count (label, prediction) pairs, and divide by how often each class was predicted
        self.checks += 1
        categories = self._categories or int(max(part.max() for part in pair)) + 1
        confusion = np.zeros((categories, categories))
        np.add.at(confusion, pair, 1)
        predicted = confusion.sum(axis=0)
        shares = confusion / np.maximum(predicted, 1)

        for number in map(int, np.flatnonzero(predicted)):
            if shares[number, number] < self._least:
                return self.fire(
                    f"{shares[number, number]:.0%} of what is predicted as {self.class_name(number)} is of it, below "
                    f"min_diag {self._least:g}"
                )
            others = np.where(np.arange(categories) == number, 0, shares[:, number])
            if others.max() > self._most:
                return self.fire(
                    f"{others.max():.0%} of what is predicted as {self.class_name(number)} is "
                    f"{self.class_name(int(others.argmax()))}, above max_off_diag {self._most:g}"
                )
        return False

    def _one(self, step: int, collection: str, name: str) -> NDArray[Any] | None:
        names = self.names_at(step, collections=[collection])
        named = [found for found in names if name in found]
        return self.trial.value_at((named or names)[0], step) if names else None
