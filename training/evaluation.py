"""What the test photos say about a model: scores a class, and the confusion matrix as numbers and as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import contract

__all__ = ["class_scores", "confusion_matrix", "write_confusion_matrix"]

_MOST_LABELLED = 30
"""Classes up to which the picture writes the numbers into its cells; beyond, they would not be legible."""


def confusion_matrix(labels: NDArray[np.int64], predictions: NDArray[np.int64], *, classes: int) -> NDArray[np.int64]:
    """(classes, classes): rows are the true classes, columns the predicted ones."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def class_scores(matrix: NDArray[np.int64], *, classes: list[str]) -> list[contract.ClassScores]:
    """Precision, recall and F1 of every class; 0 where a class was never predicted or has no test photo."""
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
                "f1": 2 * right / (present + predicted) if present + predicted else 0.0,
            }
        )
    return scores


def write_confusion_matrix(folder: Path, matrix: NDArray[np.int64], *, classes: list[str]) -> None:
    """Write the matrix as CSV (first row and column: class names) and as PNG."""
    with (folder / contract.Artefact.CONFUSION_MATRIX_CSV).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["true \\ predicted", *classes])
        rows.writerows([name, *row] for name, row in zip(classes, matrix.tolist(), strict=True))

    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    side = min(4 + 0.4 * len(classes), 24)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true", title=f"{np.trace(matrix)} of {matrix.sum()} test photos right")
    if len(classes) <= _MOST_LABELLED:
        axes.set_xticks(range(len(classes)), [_plain(name) for name in classes], rotation=90)
        axes.set_yticks(range(len(classes)), [_plain(name) for name in classes])
        for row, column in np.argwhere(matrix):
            strong = matrix[row, column] > matrix[row].sum() / 2
            axes.text(
                column, row, str(matrix[row, column]), ha="center", va="center", color="white" if strong else "black"
            )
    figure.savefig(folder / contract.Artefact.CONFUSION_MATRIX_PNG, dpi=100)


def _plain(name: str) -> str:
    """A class name as matplotlib prints it literally: dollar signs would start a formula."""
    return name.replace("$", r"\$")
