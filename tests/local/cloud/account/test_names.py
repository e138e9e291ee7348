"""Names of jobs: SageMaker never frees them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local import control
from tests.local.cloud.account.conftest import processing_job, tuning_job
from tests.local.cloud.conftest import Account, allow, training_job, until

if TYPE_CHECKING:
    from tests.local.cloud.account.conftest import Documented


def test_the_name_of_a_job_that_has_ended_stays_taken(strict: Documented, training: dict[str, Any]) -> None:
    sagemaker = strict.client("sagemaker")
    sagemaker.create_training_job(**training)
    _ended(sagemaker, training["TrainingJobName"])
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="must be unique within an AWS account and region"):
        sagemaker.create_training_job(**training)


def test_the_name_of_a_job_that_was_refused_is_free(strict: Documented, training: dict[str, Any]) -> None:
    strict.write(quotas={"sagemaker": {"* for training job usage": 0}})
    sagemaker = strict.client("sagemaker")
    with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded):
        sagemaker.create_training_job(**training)
    strict.write()
    sagemaker.create_training_job(**training)


def test_names_outlive_the_stop_of_the_cloud_but_not_its_state_folder(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-67: whoever deploys again meets the names of his earlier runs."""
    monkeypatch.setenv("WHIPPET_ENVIRONMENTS", str(programs))
    state = tmp_path / "state"
    try:
        sagemaker, requests = _account(state)
        for operation, request in requests.items():
            getattr(sagemaker, operation)(**request)
        control.stop(state)

        sagemaker, requests = _account(state)
        for operation, request in requests.items():
            with pytest.raises(sagemaker.exceptions.ResourceInUse, match="already exists"):
                getattr(sagemaker, operation)(**request)
        control.stop(state)

        shutil.rmtree(state)
        sagemaker, requests = _account(state)
        sagemaker.create_training_job(**requests["create_training_job"])
    finally:
        control.stop(state)


def _account(state: Path) -> tuple[Any, dict[str, dict[str, Any]]]:
    """A client of a cloud that was just started, with a request of each kind of job."""
    account = Account(control.start(state))
    role = account.role("job", "sagemaker.amazonaws.com", allow(["s3:*", "logs:*"], "*"))
    account.client("s3").create_bucket(Bucket="outputs")
    training = training_job("same", role=role, bucket="outputs")
    return account.client("sagemaker"), {
        "create_training_job": training,
        "create_hyper_parameter_tuning_job": tuning_job("same", training),
        "create_processing_job": processing_job("same", role),
    }


def _ended(sagemaker: Any, job: str) -> None:
    until(
        lambda: sagemaker.describe_training_job(TrainingJobName=job),
        lambda seen: seen["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"),
    )
