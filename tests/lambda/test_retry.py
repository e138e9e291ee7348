"""An earlier run that is tried again: what is gone on with, and when that is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from check_dataset import handler as check_dataset
from check_dataset.overrides import InvalidInput

import contract
from infra.quotas import machines
from infra.settings import Settings
from tests.fakes.lambda_context import Context
from tests.fakes.quotas import FakeEndpoint, service_quotas
from tests.fakes.s3 import FakeS3, client_error

EARLIER = "earlier-123"
STARTED = "2026-11-28T21:00:00.123Z"
NEW = contract.run_id("run-2", started=STARTED)
BEST = {"learning_rate": "0.01", "batch_size": "32"}
TRIAL = contract.TrialCode(image="image:1", source="s3://assets/trial.tar.gz")
TRAINING = contract.TrialCode(image="image:2", source="s3://assets/training.tar.gz")


class SageMaker(FakeEndpoint):
    """The jobs of the earlier run, by their names."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, dict[str, Any]] = {}

    def describe_hyper_parameter_tuning_job(self, *, HyperParameterTuningJobName: str) -> dict[str, Any]:  # noqa: N803
        return self._describe(HyperParameterTuningJobName)

    def describe_training_job(self, *, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        return self._describe(TrainingJobName)

    def _describe(self, name: str) -> dict[str, Any]:
        if name not in self.jobs:
            raise client_error("ValidationException", "Requested resource not found.")
        return self.jobs[name]


class Account:
    """The bucket and SageMaker after an earlier run, whose plan is that of the new one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
        self.context, self.sagemaker = context, SageMaker()
        photos = {f"dataset/{label}/{n}.jpg": f"{label} {n}".encode() for label in ("cat", "dog") for n in range(20)}
        self.s3 = FakeS3(photos)
        settings = Settings()
        monkeypatch.setenv("MACHINES", json.dumps(machines(settings)))
        monkeypatch.setenv("SETTINGS", settings.model_dump_json(include={"dataset", "tuning", "training"}))
        for name, client in (("s3", self.s3), ("sagemaker", self.sagemaker), ("service_quotas", service_quotas({}))):
            monkeypatch.setattr(check_dataset, name, client)
        self.first = self.check(execution="first")
        folder = f"runs/{self.first['run']}/manifest/"
        for name in (contract.Artefact.DATASET_SUMMARY, contract.Artefact.MANIFEST):
            self.s3.objects[f"runs/{EARLIER}/manifest/{name}"] = self.s3.objects[folder + name]

    def check(self, *, execution: Any = "run-2", **overrides: object) -> contract.Plan:
        event: contract.CheckDatasetInput = {
            "overrides": overrides,
            "execution": execution,
            "started": STARTED,
            "trial": TRIAL,
            "training": TRAINING,
        }
        return check_dataset.handler(event, self.context)  # type: ignore[arg-type]

    def retry(self, **overrides: Any) -> contract.Plan:
        return self.check(retry_of=EARLIER, **overrides)

    def search(self, *, name: str = f"whippet-dev-{EARLIER}", status: str = "Completed") -> dict[str, Any]:
        """The earlier run's tuning job, as SageMaker describes it."""
        plan = self.first
        values = {**plan["hyperparameters"], "epochs": plan["tuning"]["epochs"]}
        program = {"sagemaker_program": "training/trial.py", "sagemaker_submit_directory": TRIAL["source"]}
        static = {key: value for key, value in values.items() if key not in BEST}
        self.sagemaker.jobs[name] = {
            "HyperParameterTuningJobName": name,
            "HyperParameterTuningJobStatus": status,
            "HyperParameterTuningJobConfig": {
                "HyperParameterTuningJobObjective": {"MetricName": "validation:loss_bits"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": plan["tuning"]["trials"]},
                "ParameterRanges": {**plan["tuning"]["ranges"], "IntegerParameterRanges": []},
            },
            "TrainingJobDefinition": {
                "StaticHyperParameters": {
                    **static,
                    **program,
                    "sagemaker_program": contract.EntryPoint.TRIAL.value,
                    "_tuning_objective_metric": "validation:loss_bits",
                },
                "AlgorithmSpecification": {"TrainingImage": TRIAL["image"]},
            },
            "BestTrainingJob": {"TunedHyperParameters": BEST},
        }
        objective = contract.OBJECTIVES[Settings().tuning.objective].metric.name
        config = self.sagemaker.jobs[name]["HyperParameterTuningJobConfig"]
        config["HyperParameterTuningJobObjective"]["MetricName"] = objective
        return self.sagemaker.jobs[name]

    def training(self, *, name: str = f"whippet-dev-{EARLIER}-train", status: str = "Completed") -> dict[str, Any]:
        """The earlier run's training job, as SageMaker describes it."""
        output = f"s3://data/runs/{EARLIER}/training/"
        self.sagemaker.jobs[name] = {
            "TrainingJobName": name,
            "TrainingJobStatus": status,
            "HyperParameters": {
                **self.first["hyperparameters"],
                **BEST,
                "sagemaker_submit_directory": TRAINING["source"],
            },
            "AlgorithmSpecification": {"TrainingImage": TRAINING["image"]},
            "OutputDataConfig": {"S3OutputPath": output},
            "ModelArtifacts": {"S3ModelArtifacts": f"{output}{name}/output/model.tar.gz"},
            "Environment": {contract.JobVariable.SAVE_INTERVAL.value: "50"},
            # SageMaker adds it to every training in an image with Debugger's hook
            "DebugHookConfig": {"S3OutputPath": output},
        }
        return self.sagemaker.jobs[name]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, context: Context) -> Account:
    return Account(monkeypatch, context)


def test_a_run_that_is_none_has_nothing_to_go_on_with(account: Account) -> None:
    assert "reused" not in account.check()


def test_a_run_that_failed_before_its_search_ended_is_begun_anew(account: Account) -> None:
    account.search(status="Failed")
    plan = account.retry()
    assert plan["reused"] == {"run": EARLIER}
    assert plan["tuning"]["job"] == f"whippet-dev-{NEW}"


def test_a_completed_search_is_not_made_again(account: Account) -> None:
    account.search()
    account.training(status="Failed")
    plan = account.retry()
    assert plan["reused"] == {"run": EARLIER, "best": {"TunedHyperParameters": BEST}}
    assert plan["tuning"]["job"] == f"whippet-dev-{EARLIER}", "the report reads it"
    assert plan["training"]["job"] == f"whippet-dev-{NEW}-train"


def test_a_completed_training_is_not_made_again(account: Account) -> None:
    """Its second attempt, as the first one found no machine."""
    account.search()
    account.training(status="Failed")
    second = account.training(name=f"whippet-dev-{EARLIER}-train-2")
    plan = account.retry()
    assert plan["reused"]["training"] == {
        "job": f"whippet-dev-{EARLIER}-train-2",
        "model": second["ModelArtifacts"]["S3ModelArtifacts"],
        "evaluator": "own",
    }
    assert plan["training"]["output"] == f"s3://data/runs/{EARLIER}/training/", "its tensors are there"
    assert plan["rules"]["tensors"] == f"s3://data/debug/{EARLIER}/"
    assert plan["rules"]["output"] == f"s3://data/runs/{NEW}/rules/"


def test_a_retry_of_a_retry_goes_on_with_what_the_first_run_completed(account: Account) -> None:
    search, training = account.search(), account.training()
    second = account.retry()["run"]
    third = account.check(execution="run-3", retry_of=second)
    assert account.check(execution="run-4", retry_of=third["run"])["training"]["job"] == training["TrainingJobName"]

    assert third["reused"] is not None
    assert third["reused"]["run"] == second
    assert third["reused"]["best"]["TunedHyperParameters"] == BEST
    assert third["reused"]["training"]["job"] == training["TrainingJobName"]
    assert third["tuning"]["job"] == search["HyperParameterTuningJobName"]
    assert f"/{EARLIER}/" in third["rules"]["tensors"]


@pytest.mark.parametrize(
    ("change", "evaluator"),
    [({"DebugRuleConfigurations": [{}]}, "managed"), ({"Environment": {}}, "off"), ({}, "own")],
)
def test_who_can_evaluate_the_rules_is_seen_in_the_training(
    account: Account, change: dict[str, Any], evaluator: str
) -> None:
    account.search()
    account.training().update(change)
    assert account.retry()["reused"]["training"]["evaluator"] == evaluator


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"trials": 9}, "have changed: trials"),
        ({"trial_epochs": 3}, "have changed: epochs of a trial"),
        ({"batch_sizes": [16]}, "have changed: the ranges that are searched"),
        ({"seed": 8}, "have changed: seed; give the input and the settings of that run"),
        ({"epochs": 7}, "have changed: epochs;"),
    ],
)
def test_what_has_changed_since_is_named(account: Account, overrides: dict[str, Any], words: str) -> None:
    account.search()
    account.training()
    with pytest.raises(InvalidInput, match=words):
        account.retry(**overrides)


def test_other_code_is_named(account: Account) -> None:
    account.search()["TrainingJobDefinition"]["StaticHyperParameters"]["sagemaker_submit_directory"] = "s3://old"
    with pytest.raises(InvalidInput, match="have changed: the code of the jobs"):
        account.retry()


def test_another_objective_and_other_images_are_named(account: Account) -> None:
    search = account.search()
    search["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"] = "validation:other"
    account.training()["AlgorithmSpecification"]["TrainingImage"] = "image:old"
    with pytest.raises(InvalidInput, match=r"tuning\.objective, the image of the training"):
        account.retry()


def test_other_photos_are_refused(account: Account) -> None:
    account.search()
    account.s3.put_object(Bucket="data", Key="dataset/cat/20.jpg", Body=b"new")
    with pytest.raises(InvalidInput, match=f"run {EARLIER} cannot be gone on with: the photos .* from 40 photos to 41"):
        account.retry()


def test_a_run_that_there_never_was_is_refused(account: Account) -> None:
    with pytest.raises(InvalidInput, match="names no run that got past CheckDataset"):
        account.check(retry_of="nobody-1234")


@pytest.mark.parametrize("value", ["", "Upper", "a/b", 7, "a" * 12])
def test_what_is_no_name_of_a_run_is_refused(account: Account, value: object) -> None:
    with pytest.raises(InvalidInput, match="is not a run"):
        account.check(retry_of=value)
