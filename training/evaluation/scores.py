"""A model's test results, computed from its probabilities alone, whatever kind of model it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import contract
from training.evaluation.calibration import expected_calibration_error, reliability, rescaled
from training.evaluation.intervals import wilson
from training.evaluation.model_quality import model_quality

__all__ = ["MISTAKES", "class_scores", "confusion_matrix", "hardest_mistakes", "measure", "top_k_accuracy"]

MISTAKES = 20
_TOP = 5
_SMALLEST = 1e-12
"""Probabilities below count as this much in the loss: one absurd photo must not make it infinite."""


def measure(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    paths: list[str],
    classes: list[str],
    temperature: float,
    seed: int,
) -> contract.TestScores:
    """Return everything that is reported of a model's predictions for the test photos.

    Args:
        probabilities: (N, classes), as served: their logits are divided by `temperature` already.
        labels: (N,)
        paths: the photos' file names, (N,)
        classes: names of the classes.
        temperature: of the calibration, to tell the error without it.
        seed: of the bootstrap.
    """
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), classes=len(classes))

    # calibration, with and without the temperature
    bins = reliability(probabilities, labels)
    before = reliability(rescaled(probabilities, temperature=1 / temperature), labels)

    of_labels = probabilities[np.arange(len(labels)), labels]
    return {
        "test_accuracy": float(np.trace(matrix) / len(labels)),
        "test_accuracy_interval": wilson(int(np.trace(matrix)), len(labels)),
        "test_top_5_accuracy": top_k_accuracy(probabilities, labels, k=_TOP),
        "test_loss": float(-np.log(np.maximum(of_labels, _SMALLEST)).mean()),
        "test_images": len(labels),
        "per_class": class_scores(matrix, classes=classes),
        "confusion_matrix": matrix.tolist(),
        "calibration": {
            "temperature": temperature,
            "expected_calibration_error": expected_calibration_error(bins),
            "expected_calibration_error_before": expected_calibration_error(before),
            "bins": bins,
        },
        "hardest_mistakes": hardest_mistakes(probabilities, labels, paths=paths, classes=classes),
        "multiclass_classification_metrics": model_quality(matrix, classes=classes, seed=seed),
    }


def confusion_matrix(labels: NDArray[np.int64], predictions: NDArray[np.int64], *, classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix, (classes, classes): rows are the true classes, columns the predicted ones."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def class_scores(matrix: NDArray[np.int64], *, classes: list[str]) -> list[contract.ClassScores]:
    """Return precision, recall and F1 of every class; 0 where a class was never predicted or has no test photo."""
    scores: list[contract.ClassScores] = []
    for index, name in enumerate(classes):
        right, present, predicted = (
            int(count) for count in (matrix[index, index], matrix[index].sum(), matrix[:, index].sum())
        )
        scores.append(
            {
                "name": name,
                "images": present,
                "precision": right / predicted if predicted else 0.0,
                "recall": right / present if present else 0.0,
                "recall_interval": wilson(right, present),
                "f1": 2 * right / (present + predicted) if present + predicted else 0.0,
            }
        )
    return scores


def top_k_accuracy(probabilities: NDArray[Any], labels: NDArray[np.int64], *, k: int) -> float:
    """Return the share of the photos whose class is among the `k` likeliest; ties count against the model."""
    of_labels = probabilities[np.arange(len(labels)), labels]
    at_least_as_likely = (probabilities >= of_labels[:, np.newaxis]).sum(axis=1)
    return float((at_least_as_likely <= k).mean())


def hardest_mistakes(
    probabilities: NDArray[Any], labels: NDArray[np.int64], *, paths: list[str], classes: list[str]
) -> list[contract.Mistake]:
    """Return the wrong predictions, the most confident first: often they are wrong labels, worth a look."""
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    hardest = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    return [
        {
            "path": paths[index],
            "label": classes[labels[index]],
            "predicted": classes[predictions[index]],
            "confidence": float(confidence[index]),
            "label_score": float(probabilities[index, labels[index]]),
        }
        for index in hardest
    ]
