"""An earlier tuning job whose results the next one may begin with (SageMaker's warm start)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import contract
from contract import Channel

from .overrides import RunSettings

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["NewTuning", "find_warm_start", "next_tuning", "searched_in", "static_values"]

_MAX_CANDIDATES = 20
"""Number of earlier tuning jobs, from the newest, among which a parent is looked for."""


@dataclass(frozen=True, kw_only=True)
class NewTuning:
    """The tuning job to come, as far as an earlier one has to fit it."""

    objective: str
    """Name of the metric."""
    static: Mapping[str, str]
    """Hyperparameters that all of its trials share."""
    searched: frozenset[str]
    """Names of the hyperparameters that it searches."""
    features_uri: str
    image: str


def next_tuning(plan: contract.Plan, *, settings: RunSettings, trial: contract.TrialCode) -> NewTuning:
    """Return the tuning job that the plan leads to."""
    searched = frozenset(searched_in({"ParameterRanges": plan["tuning"]["ranges"]}))
    values = {**plan["hyperparameters"], "epochs": plan["tuning"]["epochs"]}
    static = {name: value for name, value in values.items() if name not in searched}
    return NewTuning(
        objective=contract.OBJECTIVES[settings.objective].metric.name,
        static={
            "sagemaker_program": contract.EntryPoint.TRIAL.value,
            "sagemaker_submit_directory": trial["source"],
            **static,
        },
        searched=searched,
        features_uri=plan["features"]["uri"],
        image=trial["image"],
    )


def find_warm_start(sagemaker: SageMakerClient, *, name_prefix: str, new: NewTuning) -> contract.WarmStartConfig | None:
    """Return the `WarmStartConfig` with the newest completed tuning job that SageMaker accepts as a parent, or None.

    SageMaker demands the same objective and the same hyperparameters, static and searched ones together ("Run a Warm
    Start Hyperparameter Tuning Job"). If data, image and static values are the same as well, the new job counts the
    earlier results as its own (`IdenticalDataAndAlgorithm`), else it takes them as a hint (`TransferLearning`).
    """
    listed = sagemaker.list_hyper_parameter_tuning_jobs(
        NameContains=f"{name_prefix}-", SortBy="CreationTime", SortOrder="Descending", StatusEquals="Completed",
        MaxResults=_MAX_CANDIDATES,
    )["HyperParameterTuningJobSummaries"]  # fmt: skip

    for summary in listed:
        name = summary["HyperParameterTuningJobName"]
        if not name.startswith(f"{name_prefix}-"):
            continue  # NameContains finds the prefix anywhere in a name
        job: Mapping[str, Any] = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if not _fits(job, new):
            continue
        return {
            "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": name}],
            "WarmStartType": "IdenticalDataAndAlgorithm" if _is_identical(job, new) else "TransferLearning",
        }
    return None


def _fits(job: Mapping[str, Any], new: NewTuning) -> bool:
    config = job["HyperParameterTuningJobConfig"]
    return config["HyperParameterTuningJobObjective"]["MetricName"] == new.objective and (
        set(static_values(job)) | searched_in(config) == set(new.static) | new.searched
    )


def _is_identical(job: Mapping[str, Any], new: NewTuning) -> bool:
    definition = job["TrainingJobDefinition"]
    features = {
        channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in definition["InputDataConfig"]
        if channel["ChannelName"] == Channel.FEATURES
    }
    return bool(
        features == {new.features_uri}
        and definition["AlgorithmSpecification"]["TrainingImage"] == new.image
        and static_values(job) == new.static
        and searched_in(job["HyperParameterTuningJobConfig"]) == new.searched
    )


def static_values(job: Mapping[str, Any]) -> dict[str, str]:
    """Return the static hyperparameters without SageMaker's own additions, such as `_tuning_objective_metric`."""
    static = job["TrainingJobDefinition"]["StaticHyperParameters"]
    return {name: value for name, value in static.items() if not name.startswith("_")}


def searched_in(config: Mapping[str, Any]) -> set[str]:
    """Return the names of the hyperparameters that a search chooses, from its `HyperParameterTuningJobConfig`."""
    return {entry["Name"] for ranges in config["ParameterRanges"].values() for entry in ranges}
