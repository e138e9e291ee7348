"""The run's tuning job and its trials, as SageMaker's API describes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import contract

from .run_context import RunContext
from .sagemaker_jobs import described, seconds_between

__all__ = ["Range", "Ties", "Trial", "Tuning", "read_tuning"]

_EDGE = 0.05
"""Part of a range at either end, on the scale of the search, that counts as its edge."""


@dataclass(frozen=True)
class Range:
    """A hyperparameter that was searched."""

    name: str
    scale: Literal["log", "linear", "choice"]
    numeric: bool
    low: float | None = None
    high: float | None = None
    choices: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ")

    def at_edge(self, value: str) -> bool:
        """Return whether a value is the first or last choice, or in the outer twentieth at an end of the range."""
        if self.scale == "choice":
            return self.numeric and value in (self.choices[0], self.choices[-1]) and len(self.choices) > 1
        low, high, at = (
            math.log(number) if self.scale == "log" else number
            for number in (self.low or 0, self.high or 0, float(value))
        )
        return min(at - low, high - at) < _EDGE * (high - low)


@dataclass(frozen=True)
class Trial:
    """One training job of the tuning job."""

    number: int
    job: str
    values: dict[str, str]
    objective: float | None
    status: str
    seconds: float | None
    reason: str
    """Why the trial failed; empty where it did not."""


@dataclass(frozen=True)
class Tuning:
    """The tuning job, and its trials in the order of their start."""

    job: str
    status: str
    strategy: str
    objective: str
    maximise: bool
    ranges: list[Range]
    best: str | None
    trials: list[Trial]
    instance_type: str
    instances: int
    """Number of machines of each trial."""
    spot: bool

    def with_objective(self) -> list[Trial]:
        """Return the trials with an objective: a failed one has none, and that of a diverged one is not a number."""
        return [trial for trial in self.trials if trial.objective is not None and math.isfinite(trial.objective)]

    def edges(self) -> list[Range]:
        """Return the ranges at whose edge the best trial lies: a wider range may hold a better value."""
        best = next((trial for trial in self.trials if trial.job == self.best), None)
        if best is None:
            return []
        return [searched for searched in self.ranges if searched.at_edge(best.values[searched.name])]

    def ties(self, error: float) -> Ties | None:
        """Return how many trials lie within this standard error of the best one's loss; None if there are no others."""
        best = next((trial for trial in self.with_objective() if trial.job == self.best), None)
        others = [trial.objective for trial in self.with_objective() if trial.job != self.best]
        if best is None or not others:
            return None
        within = sum(other - best.objective <= error for other in others)  # type: ignore[operator]
        return Ties(within=within, others=len(others), error=error)


@dataclass(frozen=True)
class Ties:
    """How many trials can hardly be told from the best one."""

    within: int
    """Of the other trials, those whose loss is within one standard error of the best trial's."""
    others: int
    error: float
    """The standard error."""


def read_tuning(run: RunContext) -> Tuning:
    """Return the tuning job of a run.

    Raises:
        Missing: there is none, or SageMaker could not be asked.
    """
    # ask for the job and for all of its trials
    job = contract.tuning_job_name(run.prefix, run.name)
    answer = described(
        lambda: run.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=job), job=job
    )
    pages = run.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=job,
        SortBy="CreationTime",
        SortOrder="Ascending",
        PaginationConfig={"PageSize": 100},
    )
    summaries: list[Any] = described(
        lambda: [summary for page in pages for summary in page["TrainingJobSummaries"]], job=job
    )

    config = answer["HyperParameterTuningJobConfig"]
    definition = answer["TrainingJobDefinition"]
    objective = config["HyperParameterTuningJobObjective"]
    return Tuning(
        job=job,
        status=answer["HyperParameterTuningJobStatus"],
        strategy=config["Strategy"],
        objective=objective["MetricName"],
        maximise=objective["Type"] == "Maximize",
        ranges=_ranges(config.get("ParameterRanges", {})),
        best=answer.get("BestTrainingJob", {}).get("TrainingJobName"),
        trials=[_trial(number, summary) for number, summary in enumerate(summaries, start=1)],
        instance_type=definition["ResourceConfig"]["InstanceType"],
        instances=definition["ResourceConfig"]["InstanceCount"],
        spot=bool(definition.get("EnableManagedSpotTraining")),
    )


def _trial(number: int, summary: Mapping[str, Any]) -> Trial:
    metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    start: datetime | None = summary.get("TrainingStartTime")
    return Trial(
        number=number,
        job=summary["TrainingJobName"],
        values={name: str(value).strip('"') for name, value in sorted(summary.get("TunedHyperParameters", {}).items())},
        objective=float(metric["Value"]) if metric else None,
        status=summary["TrainingJobStatus"],
        seconds=seconds_between(start, summary.get("TrainingEndTime")),
        reason=summary.get("FailureReason", ""),
    )


def _ranges(given: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Range]:
    """Return the ranges, the learning rate first, since it matters most."""
    found = [_range(kind, entry) for kind, entries in given.items() for entry in entries]
    return sorted(found, key=lambda searched: searched.name != "learning_rate")


def _range(kind: str, entry: Mapping[str, Any]) -> Range:
    if kind == "CategoricalParameterRanges":
        numeric = all(map(_is_number, entry["Values"]))
        choices = sorted(entry["Values"], key=float if numeric else str)
        return Range(entry["Name"], "choice", numeric, choices=choices)
    return Range(
        entry["Name"],
        "log" if entry.get("ScalingType") == "Logarithmic" else "linear",
        numeric=True,
        low=float(entry["MinValue"]),
        high=float(entry["MaxValue"]),
    )


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and float(text) == float(text)  # False for NaN
    except ValueError:
        return False
