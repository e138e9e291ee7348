"""The files of a finished training, beside the model: the evaluation, its tables and its pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from training import contract, plots
from training.course import Epoch

__all__ = ["write_json", "write_results"]


def write_results(folder: Path, evaluation: contract.Evaluation, *, epochs: Sequence[Epoch], best: Epoch) -> None:
    """Write `evaluation.json`, and each picture with its numbers as a table.

    Args:
        folder: the job's output folder.
        evaluation: what goes into the file of that name.
        epochs: in order.
        best: the one whose model was kept.
    """
    write_json(folder / contract.Artefact.EVALUATION, evaluation)
    classes, matrix = evaluation["classes"], evaluation["confusion_matrix"]
    _write_table(
        folder / contract.Artefact.CONFUSION_MATRIX_CSV,
        ["true \\ predicted", *classes],
        ([name, *row] for name, row in zip(classes, matrix, strict=True)),
    )
    plots.draw_confusion_matrix(
        folder / contract.Artefact.CONFUSION_MATRIX_PNG, np.array(matrix, dtype=np.int64), classes=classes
    )
    _write_table(
        folder / contract.Artefact.HISTORY,
        ["epoch", "train_loss", "validation_loss", "validation_accuracy"],
        ([epoch.number, epoch.train_loss, epoch.validation.loss, epoch.validation.accuracy] for epoch in epochs),
    )
    plots.draw_history(
        folder / contract.Artefact.HISTORY_PNG,
        train_loss=[epoch.train_loss for epoch in epochs],
        validation_loss=[epoch.validation.loss for epoch in epochs],
        validation_accuracy=[epoch.validation.accuracy for epoch in epochs],
        best=best.number,
    )
    bins = evaluation["calibration"]["bins"]
    _write_table(folder / contract.Artefact.RELIABILITY_CSV, bins[0], (entry.values() for entry in bins))
    plots.draw_reliability(folder / contract.Artefact.RELIABILITY_PNG, evaluation["calibration"])
    scores = evaluation["per_class"]
    _write_table(folder / contract.Artefact.PER_CLASS_CSV, scores[0], (score.values() for score in scores))
    plots.draw_per_class(folder / contract.Artefact.PER_CLASS_PNG, scores)


def write_json(file: Path, content: object) -> None:
    """Write a JSON file that people can read too."""
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def _write_table(file: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        table = csv.writer(opened)
        table.writerow(header)
        table.writerows(rows)
