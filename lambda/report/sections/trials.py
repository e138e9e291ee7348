"""The section about the tuning job: its trials, their charts, and the importance of the hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import contract

from ..run_context import RunContext
from ..run_files import Missing
from ..tuning_job import Range, Ties, Trial, Tuning, read_tuning
from .importance import MIN_TRIALS, Importance, importance

__all__ = ["tuning"]


def tuning(run: RunContext) -> dict[str, Any]:
    """Return the table of all trials, and the charts of those with an objective."""
    search = read_tuning(run)
    if not search.trials:
        raise Missing(f"The tuning job {search.job} started no trial (status {search.status}).")
    shown = search.with_objective()
    measured = [found for searched in search.ranges if (found := _importance(searched, shown))]
    return {
        "tuning": search,
        "ties": _ties(run, search),
        "edges": [searched.label for searched in search.edges()],
        "importance": sorted(measured, key=lambda entry: -entry.explained),
        "min_trials": MIN_TRIALS,
        "charts": {"trials": _chart(search, shown)} if shown else {},
    }


def _ties(run: RunContext, search: Tuning) -> Ties | None:
    """Return how many trials tie, by the standard error of the training's loss on the same validation photos.

    SageMaker keeps a trial's objective and not its error. An accuracy's objective has none in the training's history.
    """
    if search.objective != contract.OBJECTIVES["loss"].metric.name:
        return None
    try:
        rows = run.files.history
    except Missing:
        return None
    (error,) = [float(row["validation_loss_error"]) for row in rows if row["kept"] == "1"]
    return search.ties(error) if math.isfinite(error) else None


def _importance(searched: Range, trials: Sequence[Trial]) -> Importance | None:
    """Return the importance of a hyperparameter with numeric values.

    Choices double from one to the next, as batch sizes do, so that they are taken on a logarithmic scale as well.
    """
    if not searched.numeric:
        return None
    return importance(
        searched.label,
        [float(trial.values[searched.name]) for trial in trials],
        [trial.objective for trial in trials if trial.objective is not None],
        logarithmic=searched.scale != "linear",
    )


def _chart(search: Tuning, shown: Sequence[Trial]) -> dict[str, Any]:
    return {
        "objective": search.objective,
        "maximise": search.maximise,
        "parameters": [{**asdict(searched), "label": searched.label} for searched in search.ranges],
        "trials": [
            {
                "number": trial.number,
                "objective": trial.objective,
                "values": {
                    searched.name: float(trial.values[searched.name])
                    if searched.numeric
                    else trial.values[searched.name]
                    for searched in search.ranges
                },
                "best": trial.job == search.best,
                "status": trial.status,
            }
            for trial in shown
        ],
    }
