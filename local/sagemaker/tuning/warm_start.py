"""WarmStartConfig: a tuning job that begins with the results of earlier ones, its parents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.sagemaker.errors import SageMakerError, validation
from local.sagemaker.resources import TUNING_JOB
from local.sagemaker.store import Record, Store
from local.sagemaker.tuning.search import Search
from local.sagemaker.tuning.trials import objectives

__all__ = ["IDENTICAL", "check_warm_start", "recall_parents"]

IDENTICAL = "IdenticalDataAndAlgorithm"
_ENDED = ("Completed", "Stopped", "Failed")


def check_warm_start(store: Store, parameters: Record) -> None:
    """Check the parents as SageMaker does ("Run a Warm Start Hyperparameter Tuning Job", developer guide).

    Raises:
        SageMakerError: there is no such parent, it still runs, or it is of another kind than the new job.
    """
    new = _Shape(parameters)
    for name in _parents(parameters):
        try:
            parent = store.get(TUNING_JOB, name)
        except SageMakerError:
            raise validation(f"The parent hyperparameter tuning job {name} does not exist.") from None
        status = parent["HyperParameterTuningJobStatus"]
        if status not in _ENDED:
            raise validation(f"The parent hyperparameter tuning job {name} is in status {status}; it must have ended.")

        old = _Shape(parent)
        if old.objective != new.objective:
            raise validation(
                f"The objective metric {new.objective} must be that of the parent {name}, {old.objective}."
            )

        if len(old.names) != len(new.names):
            raise validation(
                "The total number of static and tunable hyperparameters must be that of the parent: "
                f"{len(new.names)}, and {len(old.names)} in {name}."
            )
        if parameters["WarmStartConfig"]["WarmStartType"] == IDENTICAL and (old.image, old.data) != (
            new.image, new.data,
        ):  # fmt: skip
            raise validation(f"{IDENTICAL} demands the training image and the input data of the parent {name}.")


def recall_parents(store: Store, record: Record, search: Search) -> None:
    """Let the search learn from the parents' trials."""
    identical = record["WarmStartConfig"]["WarmStartType"] == IDENTICAL
    for name in _parents(record):
        search.recall(objectives(store, store.get(TUNING_JOB, name)), same=identical)


def _parents(record: Record) -> list[str]:
    config: Mapping[str, Any] = record["WarmStartConfig"]
    return [parent["HyperParameterTuningJobName"] for parent in config["ParentHyperParameterTuningJobs"]]


class _Shape:
    """The parts of a tuning job that must agree with its parents."""

    def __init__(self, record: Record) -> None:
        config, definition = record["HyperParameterTuningJobConfig"], record["TrainingJobDefinition"]
        ranges = config["ParameterRanges"].values()
        self.objective = config["HyperParameterTuningJobObjective"]["MetricName"]
        self.names = {entry["Name"] for entries in ranges for entry in entries} | set(
            definition.get("StaticHyperParameters", {})
        )
        self.image = definition["AlgorithmSpecification"].get("TrainingImage")
        self.data = sorted(
            (channel["ChannelName"], channel["DataSource"]["S3DataSource"]["S3Uri"])
            for channel in definition.get("InputDataConfig", [])
        )
