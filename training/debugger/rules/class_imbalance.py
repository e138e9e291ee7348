"""The rule ClassImbalance: some classes are far rarer than others, or mostly predicted wrongly."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from contract import counted
from training.debugger.rules.base import TensorRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["ClassImbalance"]

_FEWEST: Final = 5
"""Labels of the rarest class to be expected at the threshold, for its count to say anything: the usual limit for
comparing counts (Cochran, 1954)."""


class ClassImbalance(TensorRule):
    """Some classes are far rarer than others, or the model predicts most of a class wrongly.

    Once the rule has seen `samples` labels of the training, it divides the count of the commonest class by that of the
    rarest one that occurs, and fires if the ratio is above `threshold_imbalance`. A training that ends before it saved
    that many is judged by those there are, if the commonest class has at least 5 times `threshold_imbalance` of them;
    otherwise the result says that the classes' counts were not compared. When the training is over, the rule fires
    if more than the part `threshold_misprediction` of a class was predicted wrongly in the last validation (or, where
    validations were not saved, in the last `samples` of the training). Predictions are class numbers, or with `argmax`
    the scores of all classes.

    Source: "ClassImbalance", List of Debugger built-in rules (Amazon SageMaker AI developer guide), which leaves open
    which predictions count, and what holds for a training with fewer labels.
    """

    inspects: ClassVar[str] = "labels and predictions of the same step (labels_regex, predictions_regex)"

    def __init__(
        self,
        base_trial: FinishedTrial,
        *,
        threshold_imbalance: float,
        threshold_misprediction: float,
        samples: int,
        argmax: bool,
        labels_regex: str,
        predictions_regex: str,
    ):
        super().__init__(base_trial)
        self._imbalance, self._misprediction, self._samples = threshold_imbalance, threshold_misprediction, samples
        self._argmax, self._labels, self._predictions = argmax, listed(labels_regex), listed(predictions_regex)
        self._trained: list[NDArray[np.int64]] = []
        self._validated: NDArray[np.int64] | None = None
        self._count = 0
        self._compared = False
        """Whether the classes' counts were compared."""
        self._judged = False
        """Whether the classes' wrong predictions were."""

    def waits_for(self) -> str:
        """Name the number of labels the rule needs, and how many were saved."""
        return f"{self._samples} labels of training (samples; {self._count} were saved)"

    def not_checked(self) -> str:
        """Name the half of the rule that there were too few labels for."""
        halves = (("the classes' counts", self._compared), ("wrong predictions", self._judged))
        left = " and ".join(half for half, done in halves if not done)
        return (
            left and f"{left} were not judged: {self._count} labels of training were saved, samples is {self._samples}"
        )

    def invoke_at_step(self, step: int) -> bool:
        """Collect the labels and predictions of the step, and compare the classes once there are enough."""
        labels, predictions = (self.names_at(step, regexes=names) for names in (self._labels, self._predictions))
        for label, prediction in zip(labels, predictions, strict=False):
            pairs = self._pairs(self.trial.value_at(label, step), self.trial.value_at(prediction, step))
            if pairs is None:
                continue
            if self.in_training(step):
                self._trained.append(pairs)
                self._count += pairs.shape[1]
            else:
                self._validated = pairs

        return self.in_training(step) and self._count >= self._samples and self._imbalanced()

    def invoke_at_end(self) -> bool:
        """Compare the counts, if that could not be done before, and the share of wrong predictions of each class."""
        if not self._compared and self._enough_at_end() and self._imbalanced():
            return True
        if self._validated is not None:
            labels, predictions = self._validated
        elif self._count >= self._samples:
            labels, predictions = np.concatenate(self._trained, axis=1)[:, -self._samples :]
        else:
            return False

        self.checks += 1
        self._judged = True
        for label in np.unique(labels):
            wrong = float((predictions[labels == label] != label).mean())
            if wrong > self._misprediction:
                return self.fire(
                    f"{wrong:.0%} of {counted(int((labels == label).sum()), 'sample')} of "
                    f"{self.class_name(int(label))} predicted wrongly at the end, "
                    f"threshold_misprediction {self._misprediction:g}"
                )
        return False

    def _pairs(self, labels: NDArray[Any] | None, predictions: NDArray[Any] | None) -> NDArray[np.int64] | None:
        """Return the class numbers of labels and predictions, of shape (2, N)."""
        if labels is None or predictions is None:
            return None
        predicted = predictions.argmax(axis=1) if self._argmax else predictions.ravel()
        return np.stack([labels.ravel(), predicted]).astype(np.int64)

    def _enough_at_end(self) -> bool:
        """Return whether the commonest class has so many labels that the rarest one's count says something."""
        if not self._trained:
            return False
        commonest = np.bincount(np.concatenate(self._trained, axis=1)[0]).max()
        return bool(commonest >= _FEWEST * self._imbalance)

    def _imbalanced(self) -> bool:
        self.checks += 1
        self._compared = True
        classes, counts = np.unique(np.concatenate(self._trained, axis=1)[0], return_counts=True)
        rarest, commonest = int(counts.argmin()), int(counts.argmax())
        ratio = float(counts[commonest] / counts[rarest])
        if ratio <= self._imbalance:
            return False
        return self.fire(
            f"{self.class_name(int(classes[commonest]))} has {counts[commonest]} and "
            f"{self.class_name(int(classes[rarest]))} {counts[rarest]} of {self._count} labels: {ratio:.3g} times, "
            f"above threshold_imbalance {self._imbalance:g}"
        )
