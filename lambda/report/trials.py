"""The tuning job's trials, as the SageMaker API tells of them, and what can be learnt from them together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from importance import MIN_TRIALS, importance
from run_context import RunContext
from run_files import Missing
from sagemaker_jobs import described, seconds_between

from training import contract

__all__ = ["Trial", "Tuning", "read_tuning", "tuning"]

_LABELS = {"learning_rate": "learning rate", "batch_size": "batch size", "weight_decay": "weight decay"}


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
    """Why it failed; empty otherwise."""


@dataclass(frozen=True)
class Tuning:
    """The search and its trials in order of their start."""

    job: str
    status: str
    strategy: str
    objective: str
    maximise: bool
    ranges: dict[str, str]
    """Searched hyperparameters, each with its scale: `log`, `linear` or `category`."""
    best: str | None
    trials: list[Trial]
    instance_type: str
    instances: int
    """A trial has that many."""
    spot: bool

    def with_objective(self) -> list[Trial]:
        """The trials that have one: failed ones have not."""
        return [trial for trial in self.trials if trial.objective is not None]


def read_tuning(run: RunContext) -> Tuning:
    """The tuning job of a run.

    Raises:
        Missing: there is none, or SageMaker does not tell.
    """
    job = contract.tuning_job_name(run.prefix, run.name)
    answer = described(
        lambda: run.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=job), job=job
    )
    pages = run.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=job, SortBy="CreationTime", SortOrder="Ascending"
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
        ranges=_scales(config.get("ParameterRanges", {})),
        best=answer.get("BestTrainingJob", {}).get("TrainingJobName"),
        trials=[_trial(number, summary) for number, summary in enumerate(summaries, start=1)],
        instance_type=definition["ResourceConfig"]["InstanceType"],
        instances=definition["ResourceConfig"]["InstanceCount"],
        spot=bool(definition.get("EnableManagedSpotTraining")),
    )


def tuning(run: RunContext) -> dict[str, Any]:
    """The section: a table of all trials, and four charts of those with an objective."""
    search = read_tuning(run)
    if not search.trials:
        raise Missing(f"The tuning job {search.job} started no trial (status {search.status}).")
    shown = search.with_objective()
    numeric = {
        name: scale for name, scale in search.ranges.items() if all(_is_number(t.values.get(name)) for t in shown)
    }
    measured = [
        found
        for name, scale in numeric.items()
        if (
            found := importance(
                name,
                [float(trial.values[name]) for trial in shown],
                [trial.objective for trial in shown if trial.objective is not None],
                logarithmic=scale == "log",
            )
        )
    ]
    return {
        "tuning": search,
        "labels": {name: _LABELS.get(name, name.replace("_", " ")) for name in search.ranges},
        "importance": sorted(measured, key=lambda entry: -entry.explained),
        "min_trials": MIN_TRIALS,
        "charts": {"trials": _chart(search, shown, [asdict(entry) for entry in measured])} if shown else {},
    }


def _chart(search: Tuning, shown: Sequence[Trial], measured: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "objective": search.objective,
        "maximise": search.maximise,
        "parameters": [
            {"name": name, "label": _LABELS.get(name, name.replace("_", " ")), "scale": scale}
            for name, scale in search.ranges.items()
        ],
        "trials": [
            {
                "number": trial.number,
                "objective": trial.objective,
                "values": {name: float(value) if _is_number(value) else value for name, value in trial.values.items()},
                "best": trial.job == search.best,
                "status": trial.status,
            }
            for trial in shown
        ],
        "importance": measured,
    }


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


def _scales(ranges: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """A category of whole numbers, such as the batch sizes, which double, is laid out on a log scale, too."""
    scales: dict[str, str] = {}
    for kind, entries in ranges.items():
        for entry in entries:
            if kind == "CategoricalParameterRanges":
                scales[entry["Name"]] = "log" if all(map(_is_positive, entry["Values"])) else "category"
            else:
                scales[entry["Name"]] = "log" if entry.get("ScalingType") == "Logarithmic" else "linear"
    return dict(sorted(scales.items(), reverse=True, key=lambda item: item[0] == "learning_rate"))


def _is_positive(text: str) -> bool:
    return re.fullmatch(r"[1-9]\d*", text) is not None


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and float(text) == float(text)  # not a number is no number
    except ValueError:
        return False
