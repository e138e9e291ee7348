"""The records of jobs that have ended are deleted; those of running ones, and of none, are not."""

from __future__ import annotations

import pytest

from local.sagemaker import SageMakerError
from tests.local.sagemaker.conftest import Jobs, eventually


def code(jobs: Jobs, operation: str, **parameters: str) -> str:
    """The code with which an operation is refused."""
    with pytest.raises(SageMakerError) as refused:
        jobs.sagemaker.call(operation, dict(parameters))
    return refused.value.code


def test_an_ended_training_job_goes_and_its_name_can_be_given_again(jobs: Jobs) -> None:
    jobs.start("once", hyperparameters={"action": "train"})
    assert jobs.ended("once")["TrainingJobStatus"] == "Completed"
    jobs.sagemaker.call("DeleteTrainingJob", {"TrainingJobName": "once"})
    assert jobs.sagemaker.call("ListTrainingJobs", {"NameContains": "once"})["TrainingJobSummaries"] == []
    assert code(jobs, "DescribeTrainingJob", TrainingJobName="once") == "ValidationException"
    jobs.start("once", hyperparameters={"action": "train"})
    assert jobs.ended("once")["TrainingJobStatus"] == "Completed"


def test_a_running_job_is_in_use(jobs: Jobs) -> None:
    jobs.start("on", hyperparameters={"action": "wait"})
    eventually(lambda: jobs.describe("on")["SecondaryStatus"] == "Training")
    assert code(jobs, "DeleteTrainingJob", TrainingJobName="on") == "ResourceInUse"
    jobs.sagemaker.call("StopTrainingJob", {"TrainingJobName": "on"})
    jobs.ended("on")
    jobs.sagemaker.call("DeleteTrainingJob", {"TrainingJobName": "on"})


@pytest.mark.parametrize("kind", ["TrainingJob", "ProcessingJob", "HyperParameterTuningJob"])
def test_what_is_not_there_is_not_found(jobs: Jobs, kind: str) -> None:
    assert code(jobs, f"Delete{kind}", **{f"{kind}Name": "none"}) == "ResourceNotFound"
    arn = jobs.sagemaker.resource_arn(f"Delete{kind}", {f"{kind}Name": "none"})
    assert arn.endswith("/none")


def test_sagemaker_deletes_no_transform_jobs(jobs: Jobs) -> None:
    assert code(jobs, "DeleteTransformJob", TransformJobName="none") == "UnknownOperationException"
