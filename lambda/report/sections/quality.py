"""The model's training and its quality: curves, confusion matrix, classes, calibration, mistakes."""

from __future__ import annotations

import base64
from typing import Any

from ..run_context import RunContext
from ..run_files import Missing, if_present

__all__ = ["calibration", "classes", "confusion", "curves", "mistakes"]

CONFUSIONS_SHOWN = 15
"""Number of pairs of confused classes in the table."""


def curves(run: RunContext) -> dict[str, Any]:
    """Return losses and accuracy by epoch, and the epoch that the training kept."""
    rows = run.files.history
    columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
    kept = columns.pop("kept").index(1)
    return {
        "kept": {name: values[kept] for name, values in columns.items()},
        "epochs": len(rows),
        "rows": [{name: float(row[name]) for name in columns} for row in rows],
        "charts": {"curves": {**columns, "kept": columns["epoch"][kept]}},
    }


def confusion(run: RunContext) -> dict[str, Any]:
    """Return the cells of the matrix that are not zero: there are at most as many as photos."""
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
    """Return precision, recall and F1 of every class."""
    return {"scores": run.files.evaluation["per_class"]}


def calibration(run: RunContext) -> dict[str, Any]:
    """Return how far the scores are from the observed frequencies."""
    found = run.files.evaluation["calibration"]
    return {"calibration": found, "charts": {"calibration": {"bins": found["bins"]}}}


def mistakes(run: RunContext) -> dict[str, Any]:
    """Return the wrong predictions with the highest confidence, with their pictures as data: URIs."""
    shown = run.files.evaluation["hardest_mistakes"]
    if not shown:
        raise Missing("The model classified every test photo correctly.")
    return {"mistakes": [{**mistake, "picture": _picture(run, place)} for place, mistake in enumerate(shown)]}


def _picture(run: RunContext, place: int) -> str | None:
    content = if_present(lambda: run.files.thumbnail(place))
    return None if content is None else f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"
