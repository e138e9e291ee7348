"""How training jobs are ended: what their programs hear, and how long they go on (A-25)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from local.sagemaker import SageMakerError, StopPolicy
from tests.local.sagemaker.conftest import IMAGES, Jobs, eventually
from tests.local.sagemaker.jobs.test_training import archive, log_lines

HEARS = StopPolicy(sigterm=True)


def start(jobs: Jobs, name: str, *, action: str, **members: Any) -> None:
    """Start a job with checkpoints, and wait until its script runs."""
    kept = {"CheckpointConfig": {"S3Uri": f"s3://{jobs.bucket}/{name}"}}
    jobs.start(name, hyperparameters={"action": action}, **kept, **members)
    eventually(lambda: jobs.describe(name)["SecondaryStatus"] == "Training")
    time.sleep(1)  # the script has begun


def kept(jobs: Jobs, s3: Any, name: str) -> dict[str, str]:
    """The checkpoints of a job that has ended, by file."""
    found = s3.list_objects_v2(Bucket=jobs.bucket, Prefix=f"{name}/")["Contents"]
    return {
        entry["Key"].partition("/")[2]: s3.get_object(Bucket=jobs.bucket, Key=entry["Key"])["Body"].read().decode()
        for entry in found
    }


def test_a_stopped_script_hears_nothing_and_trains_on_until_it_is_killed(jobs: Jobs, s3: Any) -> None:
    """As in AWS's training image, whose first process is a bash that passes no signal on."""
    start(jobs, "deaf", action="train-on")
    stopped = time.time()
    jobs.sagemaker.call("StopTrainingJob", {"TrainingJobName": "deaf"})
    job = jobs.ended("deaf")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    left = kept(jobs, s3, "deaf")
    assert "heard.txt" not in left
    assert 0.8 < float(left["step.txt"]) - stopped < 5, "it trained on for the grace of a second"


def test_a_script_over_its_time_limit_hears_nothing_either(jobs: Jobs, s3: Any) -> None:
    start(jobs, "slow", action="train-on", StoppingCondition={"MaxRuntimeInSeconds": 2})
    job = jobs.ended("slow")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert "heard.txt" not in kept(jobs, s3, "slow")


@pytest.mark.parametrize("stopping", [StopPolicy(grace=60)])
def test_a_script_that_ends_within_the_grace_keeps_its_model(jobs: Jobs, s3: Any) -> None:
    jobs.start("soon", hyperparameters={"action": "train-on", "seconds": "3"})
    eventually(lambda: jobs.describe("soon")["SecondaryStatus"] == "Training")
    jobs.sagemaker.call("StopTrainingJob", {"TrainingJobName": "soon"})
    assert jobs.ended("soon")["TrainingJobStatus"] == "Stopped"
    assert archive(s3, jobs.bucket, "out/soon/output/model.tar.gz") == {"model.txt": b"trained"}


@pytest.mark.parametrize("stopping", [HEARS])
def test_where_the_script_hears_sigterm_it_saves_and_its_model_is_kept(jobs: Jobs, s3: Any, logs: Any) -> None:
    jobs.start("polite", hyperparameters={"action": "wait"})
    eventually(lambda: "waiting" in lines_so_far(logs, "polite"))
    jobs.sagemaker.call("StopTrainingJob", {"TrainingJobName": "polite"})
    job = jobs.ended("polite")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    assert archive(s3, jobs.bucket, "out/polite/output/model.tar.gz") == {"model.txt": b"stopped early"}
    with pytest.raises(SageMakerError, match="the training job is in status Stopped"):
        jobs.sagemaker.call("StopTrainingJob", {"TrainingJobName": "polite"})


def lines_so_far(logs: Any, job: str) -> list[str]:
    try:
        return log_lines(logs, job)
    except (ValueError, logs.exceptions.ResourceNotFoundException):
        return []


def test_an_entry_point_of_the_requests_own_is_the_first_process_and_hears_sigterm(jobs: Jobs, s3: Any) -> None:
    request = jobs.request("own")
    entry_point = ["python3", str(IMAGES / "train.py")]
    algorithm = {**request["AlgorithmSpecification"], "ContainerEntrypoint": entry_point}
    jobs.start("own", hyperparameters={"action": "wait"}, AlgorithmSpecification=algorithm)
    eventually(lambda: jobs.describe("own")["SecondaryStatus"] == "Training")
    time.sleep(1)
    jobs.sagemaker.call("StopTrainingJob", {"TrainingJobName": "own"})
    assert jobs.ended("own")["TrainingJobStatus"] == "Stopped"
    assert archive(s3, jobs.bucket, "out/own/output/model.tar.gz") == {"model.txt": b"stopped early"}


@pytest.mark.parametrize(
    ("variables", "policy"),
    [
        ({}, StopPolicy(sigterm=False, grace=3)),
        ({"WHIPPET_STOP_SIGTERM": "", "WHIPPET_STOP_GRACE": ""}, StopPolicy(sigterm=False, grace=3)),
        ({"WHIPPET_STOP_SIGTERM": "true"}, StopPolicy(sigterm=True, grace=3)),
        ({"WHIPPET_STOP_GRACE": "120"}, StopPolicy(sigterm=False, grace=120)),
    ],
)
def test_the_environment_chooses_how_jobs_are_ended(variables: dict[str, str], policy: StopPolicy) -> None:
    assert StopPolicy.of(variables) == policy


def test_a_program_that_hears_sigterm_has_the_time_that_aws_gives() -> None:
    algorithm: dict[str, Any] = {"AlgorithmSpecification": {}}
    assert StopPolicy(sigterm=True, grace=3).of_job(algorithm).grace == 120
    assert StopPolicy(grace=3).of_job(algorithm).grace == 3


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WHIPPET_STOP_SIGTERM": "yes"}, "WHIPPET_STOP_SIGTERM=yes is neither true nor false"),
        ({"WHIPPET_STOP_GRACE": "long"}, "WHIPPET_STOP_GRACE=long is no number of seconds from 0 to 120"),
        ({"WHIPPET_STOP_GRACE": "121"}, "WHIPPET_STOP_GRACE=121 is no number of seconds from 0 to 120"),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StopPolicy.of(variables)
