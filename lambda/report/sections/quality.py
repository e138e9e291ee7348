"""How the training went, and how good the model is: curves, scores of each class, calibration, what is served."""

from __future__ import annotations

from typing import Any

from ..run_context import RunContext

__all__ = ["calibration", "classes", "curves", "serving"]


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


def classes(run: RunContext) -> dict[str, Any]:
    """Return precision, recall and F1 of every class, and the accuracy over all of them."""
    evaluation = run.files.evaluation
    return {"scores": evaluation["per_class"], "accuracy": evaluation["test_accuracy"]}


def calibration(run: RunContext) -> dict[str, Any]:
    """Return how far the scores are from the observed frequencies."""
    found = run.files.evaluation["calibration"]
    return {"calibration": found, "charts": {"calibration": {"bins": found["bins"]}}}


def serving(run: RunContext) -> dict[str, Any]:
    """Return the model's files, why one of them is served, and what the choices around it were measured to bring."""
    evaluation = run.files.evaluation
    return {
        "evaluation": evaluation,
        "mirror": evaluation["mirror_averaging"],
        "fine_tuning": evaluation["fine_tuning"],
    }
