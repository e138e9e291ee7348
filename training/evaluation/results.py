"""The files of a finished training, beside the model: the evaluation, its tables and its pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import contract
from training.evaluation import plots
from training.loop.history import Epoch
from training.runtime.environment import write_json

__all__ = ["write_prediction_table", "write_predictions", "write_results"]


def write_results(folder: Path, evaluation: contract.Evaluation, *, epochs: Sequence[Epoch], kept: Epoch) -> None:
    """Write `evaluation.json`, and each picture with its numbers as a table.

    Args:
        folder: the job's output folder.
        evaluation: what goes into the file of that name.
        epochs: in order.
        kept: the one whose weights were kept.
    """
    write_json(folder / contract.Artefact.EVALUATION, evaluation)

    # confusion matrix
    classes, matrix = evaluation["classes"], evaluation["confusion_matrix"]
    _write_table(
        folder / contract.Artefact.CONFUSION_MATRIX_CSV,
        ["true \\ predicted", *classes],
        ([name, *row] for name, row in zip(classes, matrix, strict=True)),
    )
    plots.draw_confusion_matrix(
        folder / contract.Artefact.CONFUSION_MATRIX_PNG, np.array(matrix, dtype=np.int64), classes=classes
    )

    # history
    _write_table(
        folder / contract.Artefact.HISTORY,
        ["epoch", "train_loss", "validation_loss", "validation_loss_error", "validation_accuracy", "kept"],
        (
            [
                epoch.number,
                epoch.train_loss,
                epoch.validation.loss,
                epoch.validation.loss_error,
                epoch.validation.accuracy,
                int(epoch.number == kept.number),
            ]
            for epoch in epochs
        ),
    )
    plots.draw_history(
        folder / contract.Artefact.HISTORY_PNG,
        train_loss=[epoch.train_loss for epoch in epochs],
        validation_loss=[epoch.validation.loss for epoch in epochs],
        validation_accuracy=[epoch.validation.accuracy for epoch in epochs],
        kept=kept.number,
    )

    # calibration
    bins = evaluation["calibration"]["bins"]
    _write_table(folder / contract.Artefact.RELIABILITY_CSV, bins[0], (entry.values() for entry in bins))
    plots.draw_reliability(folder / contract.Artefact.RELIABILITY_PNG, evaluation["calibration"])

    # scores of each class
    scores = evaluation["per_class"]
    _write_table(
        folder / contract.Artefact.PER_CLASS_CSV,
        ["name", "images", "precision", "recall", "recall_low", "recall_high", "f1"],
        (
            [
                score["name"],
                score["images"],
                score["precision"],
                score["recall"],
                score["recall_interval"]["low"],
                score["recall_interval"]["high"],
                score["f1"],
            ]
            for score in scores
        ),
    )
    plots.draw_per_class(folder / contract.Artefact.PER_CLASS_PNG, scores)


def write_predictions(
    folder: Path,
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    distances: NDArray[np.float32],
    *,
    paths: Sequence[str],
    classes: Sequence[str],
) -> None:
    """Write `test_predictions.csv`: the served model's prediction for every test photo, in the order of their paths.

    Two models that were tested on the same photos can be compared photo by photo with it, and what the endpoint
    answers later with what it answers here.

    Args:
        folder: the job's output folder.
        probabilities: (N, classes), as served.
        labels: (N,)
        distances: (N,), as served.
        paths: the photos' file names, (N,)
        classes: names of the classes.
    """
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    answers = zip(paths, labels, predictions, confidence, distances, strict=True)
    write_prediction_table(
        folder / contract.Artefact.PREDICTIONS,
        (
            (path, classes[label], classes[predicted], float(score), float(distance))
            for path, label, predicted, score, distance in answers
        ),
    )


def write_prediction_table(file: Path, rows: Iterable[tuple[str, str, str, float, float | None]]) -> None:
    """Write path, label, predicted label, confidence and distance of each photo, in the order of their paths."""
    _write_table(
        file,
        ["path", "label", "predicted", "confidence", "distance"],
        sorted(
            (path, label, predicted, f"{confidence:.6f}", "" if distance is None else f"{distance:.4f}")
            for path, label, predicted, confidence, distance in rows
        ),
    )


def _write_table(file: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        table = csv.writer(opened)
        table.writerow(header)
        table.writerows(rows)
