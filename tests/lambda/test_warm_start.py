from __future__ import annotations

from typing import Any

import pytest
from check_dataset.warm_start import NewTuning, find_warm_start

STATIC = {"epochs": "5", "sagemaker_program": "training/trial.py"}
NEW = NewTuning(
    objective="validation:accuracy",
    static=STATIC,
    searched=frozenset({"learning_rate", "batch_size"}),
    features_uri="s3://data/features/k/",
    image="image:1",
)


def job(name: str, **changes: Any) -> dict[str, Any]:
    """A tuning job as SageMaker describes it."""
    given = {
        "objective": "validation:accuracy",
        "static": STATIC,
        "features": "s3://data/features/k/",
        "image": "image:1",
        "searched": ["learning_rate", "batch_size"],
    } | changes
    source = {"S3DataSource": {"S3Uri": given["features"]}}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": given["objective"]},
            "ParameterRanges": {"ContinuousParameterRanges": [{"Name": each} for each in given["searched"]]},
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {**given["static"], "_tuning_objective_metric": given["objective"]},
            "AlgorithmSpecification": {"TrainingImage": given["image"]},
            "InputDataConfig": [{"ChannelName": "features", "DataSource": source}],
        },
    }


class FakeSageMaker:
    """Jobs, the newest first."""

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self.jobs = {each["HyperParameterTuningJobName"]: each for each in jobs}

    def list_hyper_parameter_tuning_jobs(self, **asked: Any) -> dict[str, Any]:
        assert asked["StatusEquals"] == "Completed"
        assert (asked["SortBy"], asked["SortOrder"]) == ("CreationTime", "Descending")
        names = [name for name in self.jobs if asked["NameContains"] in name]
        return {"HyperParameterTuningJobSummaries": [{"HyperParameterTuningJobName": name} for name in names]}

    def describe_hyper_parameter_tuning_job(self, *, HyperParameterTuningJobName: str) -> dict[str, Any]:  # noqa: N803
        return self.jobs[HyperParameterTuningJobName]


def found(*jobs: dict[str, Any]) -> tuple[str, str] | None:
    config = find_warm_start(FakeSageMaker(*jobs), name_prefix="whippet-dev", new=NEW)  # type: ignore[arg-type]
    if config is None:
        return None
    (parent,) = config["ParentHyperParameterTuningJobs"]
    return parent["HyperParameterTuningJobName"], config["WarmStartType"]


def test_the_same_data_and_algorithm_are_gone_on_with() -> None:
    assert found(job("whippet-dev-r2"), job("whippet-dev-r1")) == ("whippet-dev-r2", "IdenticalDataAndAlgorithm")


@pytest.mark.parametrize(
    "change",
    [
        {"features": "s3://data/features/other/"},
        {"image": "image:2"},
        {"static": {**STATIC, "epochs": "9"}},
        {"static": {**STATIC, "batch_size": "8"}, "searched": ["learning_rate"]},
    ],
)
def test_other_data_image_or_values_are_a_hint_only(change: dict[str, Any]) -> None:
    assert found(job("whippet-dev-r1", **change)) == ("whippet-dev-r1", "TransferLearning")


@pytest.mark.parametrize(
    "change",
    [{"objective": "validation:loss"}, {"static": {**STATIC, "new": "1"}}, {"searched": ["learning_rate"]}],
)
def test_jobs_that_sagemaker_would_refuse_as_parents_are_passed_over(change: dict[str, Any]) -> None:
    assert found(job("whippet-dev-r2", **change)) is None
    assert found(job("whippet-dev-r2", **change), job("whippet-dev-r1")) == (
        "whippet-dev-r1",
        "IdenticalDataAndAlgorithm",
    )


def test_another_environments_jobs_are_none_of_ours() -> None:
    assert found(job("other-whippet-dev-r1")) is None
