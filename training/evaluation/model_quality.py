"""The test result as SageMaker's Model Monitor writes it, with its uncertainty.

Names and shape are those of the multiclass part of AWS's page "Model quality metrics and Amazon CloudWatch
monitoring", so that the model registry and the monitor's own tools read the file. The standard deviations come from
the bootstrap: the test photos are drawn again, as many as there are and with repetition, and everything is computed
anew. All metrics here depend on nothing but the confusion matrix, so its cells are drawn in place of the photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

import contract

__all__ = ["RESAMPLES", "model_quality"]

RESAMPLES = 1000
_MOST_ZEROS = 100
"""Classes up to which zeros of the matrix are written, too; of a thousand classes they would be a million lines."""


def model_quality(
    matrix: NDArray[np.int64], *, classes: list[str], seed: int, resamples: int = RESAMPLES
) -> contract.MulticlassMetrics:
    """Return SageMaker's `multiclass_classification_metrics` of a confusion matrix (rows true, columns predicted).

    The "best constant classifier" predicts the most frequent class of the test photos for all: the least to be beaten.
    """
    # every metric, with the standard deviation of its bootstrap resamples
    point, drawn = _once(matrix), _resampled(matrix, seed=seed, resamples=resamples)
    constant = int(matrix.sum(axis=1).argmax())
    metrics: dict[str, contract.UncertainMetric] = {}
    for suffix, values, spread in (
        ("", _weighted(point), _weighted(drawn)),
        (
            "_best_constant_classifier",
            _weighted(point.constant(constant)),
            _weighted(drawn.constant(constant)),
        ),
    ):
        for name, value in values.items():
            metrics[name + suffix] = {
                "value": float(value[0]),
                "standard_deviation": float(spread[name].std(ddof=1)),
            }

    nested = {
        name: {
            other: int(count) for other, count in zip(classes, row, strict=True) if count or len(classes) <= _MOST_ZEROS
        }
        for name, row in zip(classes, matrix, strict=True)
    }
    return cast(contract.MulticlassMetrics, {"confusion_matrix": nested, **metrics})


@dataclass(frozen=True)
class _Counts:
    """What the metrics need of one or more confusion matrices; each (matrices, classes)."""

    right: NDArray[np.int64]
    present: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @property
    def images(self) -> int:
        return int(self.present[0].sum())

    def constant(self, label: int) -> _Counts:
        """Return the counts of a classifier that predicts `label` for every photo."""
        right, predicted = np.zeros_like(self.right), np.zeros_like(self.predicted)
        right[:, label] = self.present[:, label]
        predicted[:, label] = self.images
        return _Counts(right=right, present=self.present, predicted=predicted)


def _once(matrix: NDArray[np.int64]) -> _Counts:
    return _Counts(
        right=np.diag(matrix)[np.newaxis],
        present=matrix.sum(axis=1)[np.newaxis],
        predicted=matrix.sum(axis=0)[np.newaxis],
    )


def _resampled(matrix: NDArray[np.int64], *, seed: int, resamples: int) -> _Counts:
    rows, columns = np.nonzero(matrix)
    cells = matrix[rows, columns]
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(int(cells.sum()), cells / cells.sum(), size=resamples)  # (resamples, cells)
    right, present, predicted = (np.zeros((len(matrix), resamples), dtype=np.int64) for _ in range(3))
    np.add.at(present, rows, drawn.T)
    np.add.at(predicted, columns, drawn.T)
    diagonal = rows == columns
    right[rows[diagonal]] = drawn.T[diagonal]
    return _Counts(right=right.T, present=present.T, predicted=predicted.T)


def _weighted(counts: _Counts) -> dict[str, NDArray[np.float64]]:
    """Return accuracy, and the classes' scores weighted by how many photos each has: (matrices,) each."""
    weight = counts.present / counts.images
    precision = counts.right / np.maximum(counts.predicted, 1)
    recall = counts.right / np.maximum(counts.present, 1)
    metrics = {
        "accuracy": counts.right.sum(axis=1) / counts.images,
        "weighted_recall": (weight * recall).sum(axis=1),
        "weighted_precision": (weight * precision).sum(axis=1),
    }
    for name, beta in (("weighted_f0_5", 0.5), ("weighted_f1", 1.0), ("weighted_f2", 2.0)):
        # (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP), which is 0 and not undefined for a class never met nor predicted
        scale = beta**2 * counts.present + counts.predicted
        metrics[name] = (weight * (1 + beta**2) * counts.right / np.maximum(scale, 1e-12)).sum(axis=1)
    return metrics
