"""An earlier tuning job whose findings the next one may begin with (SageMaker's warm start)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract import Channel

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["NewTuning", "find_warm_start"]

_LOOKED_AT = 20


@dataclass(frozen=True, kw_only=True)
class NewTuning:
    """What is known of the tuning job to come."""

    objective: str
    """Name of the metric."""
    static: Mapping[str, str]
    """Hyperparameters that all of its trials share."""
    searched: frozenset[str]
    """Names of the others."""
    features_uri: str
    image: str


def find_warm_start(sagemaker: SageMakerClient, *, name_prefix: str, new: NewTuning) -> dict[str, Any] | None:
    """`WarmStartConfig` with the newest completed tuning job that SageMaker takes as a parent, or None.

    SageMaker demands the same objective and, counted together, the same static and searched hyperparameters ("Run a
    Warm Start Hyperparameter Tuning Job"). Where data, image and static values are the same, too, the new job may
    take the earlier one's results as its own; else only as a hint (transfer learning).
    """
    listed = sagemaker.list_hyper_parameter_tuning_jobs(
        NameContains=f"{name_prefix}-", SortBy="CreationTime", SortOrder="Descending", StatusEquals="Completed",
        MaxResults=_LOOKED_AT,
    )["HyperParameterTuningJobSummaries"]  # fmt: skip
    for summary in listed:
        name = summary["HyperParameterTuningJobName"]
        if not name.startswith(f"{name_prefix}-"):
            continue
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
        set(_static(job)) | _searched(config) == set(new.static) | new.searched
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
        and _static(job) == new.static
        and _searched(job["HyperParameterTuningJobConfig"]) == new.searched
    )


def _static(job: Mapping[str, Any]) -> dict[str, str]:
    """Without SageMaker's own additions, such as `_tuning_objective_metric`."""
    static = job["TrainingJobDefinition"]["StaticHyperParameters"]
    return {name: value for name, value in static.items() if not name.startswith("_")}


def _searched(config: Mapping[str, Any]) -> set[str]:
    return {entry["Name"] for ranges in config["ParameterRanges"].values() for entry in ranges}
