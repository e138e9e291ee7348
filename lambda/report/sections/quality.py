"""How the model learnt, and how good it is: curves, confusion, classes, calibration, mistakes."""

from __future__ import annotations

import base64
from typing import Any

from ..run_context import RunContext
from ..run_files import Missing

__all__ = ["calibration", "classes", "confusion", "curves", "mistakes"]

CONFUSIONS_SHOWN = 15


def curves(run: RunContext) -> dict[str, Any]:
    """Losses and accuracy over the epochs; the best epoch is the first with the greatest validation accuracy."""
    rows = run.files.history
    columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
    accuracy = columns["validation_accuracy"]
    best = max(range(len(rows)), key=lambda index: (accuracy[index], -columns["validation_loss"][index]))
    return {
        "best": {name: values[best] for name, values in columns.items()},
        "epochs": len(rows),
        "rows": [{name: float(row[name]) for name in columns} for row in rows],
        "charts": {"curves": {**columns, "best": columns["epoch"][best]}},
    }


def confusion(run: RunContext) -> dict[str, Any]:
    """The matrix as its cells that are not zero: of a thousand classes' million cells there are as many as photos."""
    evaluation = run.files.evaluation
    names, matrix = evaluation["classes"], evaluation["confusion_matrix"]
    cells = [(column, row, count) for row, counts in enumerate(matrix) for column, count in enumerate(counts) if count]
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    totals = [sum(counts) for counts in matrix]
    return {
        "names": names,
        "wrong": [
            {"label": names[row], "predicted": names[column], "count": count, "share": count / totals[row]}
            for column, row, count in wrong[:CONFUSIONS_SHOWN]
        ],
        "more": max(0, len(wrong) - CONFUSIONS_SHOWN),
        "charts": {"confusion": {"classes": names, "cells": cells, "totals": totals}},
    }


def classes(run: RunContext) -> dict[str, Any]:
    """Precision, recall and F1 of every class."""
    return {"scores": run.files.evaluation["per_class"]}


def calibration(run: RunContext) -> dict[str, Any]:
    """Whether the scores can be taken for probabilities."""
    found = run.files.evaluation["calibration"]
    return {"calibration": found, "charts": {"calibration": {"bins": found["bins"]}}}


def mistakes(run: RunContext) -> dict[str, Any]:
    """The wrong answers the model was surest of, with their pictures as data: URIs."""
    shown = run.files.evaluation["hardest_mistakes"]
    if not shown:
        raise Missing("The model took every test photo for what it is.")
    return {"mistakes": [{**mistake, "picture": _picture(run, place)} for place, mistake in enumerate(shown)]}


def _picture(run: RunContext, place: int) -> str | None:
    try:
        content = run.files.thumbnail(place)
    except Missing:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"
