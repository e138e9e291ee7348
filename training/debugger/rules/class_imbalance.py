"""ClassImbalance."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from training.debugger.rules.base import DebugRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["ClassImbalance"]


class ClassImbalance(DebugRule):
    """Some classes are far rarer than others, or the model mostly misses one.

    Once `samples` labels of training were seen, the rule compares the commonest class with the rarest that occurs: it
    fires above `threshold_imbalance`. At the end it looks at the predictions of the last validation (or, where
    validations were not saved, at the last `samples` of training): it fires if more than the part
    `threshold_misprediction` of a class is wrong. Predictions may be class numbers, or with `argmax` scores of all
    classes.

    Source: "ClassImbalance", List of Debugger built-in rules (Amazon SageMaker AI developer guide), which leaves open
    which predictions count.
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

    def waits_for(self) -> str:
        """How many, and how many there were."""
        return f"{self._samples} labels of training (samples; {self._count} were saved)"

    def invoke_at_step(self, step: int) -> bool:
        """Count the step's labels."""
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
        """Count the wrong predictions of each class."""
        if self._validated is not None:
            labels, answers = self._validated
        elif self.checks:
            labels, answers = np.concatenate(self._trained, axis=1)[:, -self._samples :]
        else:
            return False
        self.checks += 1
        for label in np.unique(labels):
            wrong = float((answers[labels == label] != label).mean())
            if wrong > self._misprediction:
                return self.fire(
                    f"{wrong:.0%} of the {int((labels == label).sum())} samples of class {label} were predicted "
                    f"wrongly at the end, threshold_misprediction {self._misprediction:g}"
                )
        return False

    def _pairs(self, labels: NDArray[Any] | None, answers: NDArray[Any] | None) -> NDArray[np.int64] | None:
        """Class numbers of labels and predictions: (2, N)."""
        if labels is None or answers is None:
            return None
        chosen = answers.argmax(axis=1) if self._argmax else answers.ravel()
        return np.stack([labels.ravel(), chosen]).astype(np.int64)

    def _imbalanced(self) -> bool:
        self.checks += 1
        classes, counts = np.unique(np.concatenate(self._trained, axis=1)[0], return_counts=True)
        rarest, commonest = int(counts.argmin()), int(counts.argmax())
        ratio = float(counts[commonest] / counts[rarest])
        if ratio <= self._imbalance:
            return False
        return self.fire(
            f"class {classes[commonest]} has {counts[commonest]} and class {classes[rarest]} {counts[rarest]} of "
            f"{self._count} labels: {ratio:.3g} times, above threshold_imbalance {self._imbalance:g}"
        )
