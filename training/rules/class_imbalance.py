"""ClassImbalance."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from training.rules.base import DebugRule, listed
from training.rules.finished_trial import FinishedTrial

__all__ = ["ClassImbalance"]


class ClassImbalance(DebugRule):
    """Some classes are far rarer than others, or the model mostly misses one.

    Over the labels that were trained on, `samples` of them at least, the rule compares the commonest class with the
    rarest that occurs: it fires above `threshold_imbalance`. At the end it looks at the last `samples` predictions, and
    fires if more than the part `threshold_misprediction` of a class is wrong; those of the first steps say nothing of
    the model that came out. Predictions may be class numbers, or with `argmax` scores of all classes.

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
        self._pairs: list[NDArray[Any]] = []
        self._count = 0

    def waits_for(self) -> str:
        """How many, and how many there were."""
        return f"{self._samples} labels (samples; {self._count} were saved)"

    def invoke_at_step(self, step: int) -> bool:
        """Count the step's labels."""
        if not self.in_training(step):
            return False
        predictions = self.names_at(step, regexes=self._predictions)
        for label, prediction in zip(self.names_at(step, regexes=self._labels), predictions, strict=False):
            labels, answers = self.trial.value_at(label, step), self.trial.value_at(prediction, step)
            if labels is None or answers is None:
                continue
            pairs = np.stack([labels.ravel(), answers.argmax(axis=1) if self._argmax else answers.ravel()])
            self._pairs.append(pairs.astype(np.int64))
            self._count += labels.size
        if self._count < self._samples or not self._pairs:
            return False
        self.judged += 1
        classes, counts = np.unique(np.concatenate(self._pairs, axis=1)[0], return_counts=True)
        rarest, commonest = int(counts.argmin()), int(counts.argmax())
        ratio = float(counts[commonest] / counts[rarest])
        if ratio <= self._imbalance:
            return False
        return self.fire(
            f"class {classes[commonest]} has {counts[commonest]} and class {classes[rarest]} {counts[rarest]} of "
            f"{self._count} labels: {ratio:.3g} times, above threshold_imbalance {self._imbalance:g}"
        )

    def invoke_at_end(self) -> bool:
        """Count the last wrong predictions."""
        if not self.judged:
            return False
        labels, answers = np.concatenate(self._pairs, axis=1)[:, -self._samples :]
        for label in np.unique(labels):
            wrong = float((answers[labels == label] != label).mean())
            if wrong > self._misprediction:
                return self.fire(
                    f"{wrong:.0%} of the last {int((labels == label).sum())} samples of class {label} were predicted "
                    f"wrongly, threshold_misprediction {self._misprediction:g}"
                )
        return False
