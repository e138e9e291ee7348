"""A job's thread outlives its record's end: nobody who gives the name again meets what is left of the first."""

from __future__ import annotations

import threading

import pytest

from local.sagemaker import SageMaker, SageMakerError
from local.sagemaker.context import Context
from local.sagemaker.jobs import deletion
from local.sagemaker.jobs.job_run import JobRun, RunningJobs
from local.sagemaker.resources import TRAINING_JOB
from tests.local.sagemaker.conftest import Jobs, eventually


class Held(JobRun):
    """A job that ends when it is let go, or is asked to stop."""

    kind = TRAINING_JOB

    def __init__(self, context: Context, name: str) -> None:
        super().__init__(context, name)
        self.go = threading.Event()

    def execute(self) -> None:
        while not self.go.wait(0.01) and not self.stop_requested.is_set():
            pass

    def fail(self, reason: str) -> None:
        raise AssertionError(reason)


@pytest.fixture
def context(sagemaker: SageMaker) -> Context:
    return sagemaker._context


def test_the_end_of_one_run_leaves_another_of_the_same_name_alone(context: Context) -> None:
    running = RunningJobs(TRAINING_JOB)
    ended: list[str] = []
    first, second = Held(context, "once"), Held(context, "once")
    running.start(first, on_end=ended.append)
    running.start(second, on_end=ended.append)
    first.go.set()
    eventually(lambda: ended == ["once"])
    assert not running.wait("once", timeout=0.05)
    running.request_stop("once")
    assert running.wait("once", timeout=10)
    eventually(lambda: ended == ["once", "once"])


def test_a_job_whose_files_are_held_is_in_use(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "_PATIENCE", 0.05)
    jobs.run("once", hyperparameters={"action": "train"})
    evaluation = Held(jobs.sagemaker._context, "once")
    jobs.sagemaker._debugger._running.start(evaluation)
    with pytest.raises(SageMakerError, match="rules are still evaluated") as refused:
        jobs.sagemaker.call("DeleteTrainingJob", {"TrainingJobName": "once"})
    assert refused.value.code == "ResourceInUse"
    evaluation.go.set()
    eventually(lambda: jobs.sagemaker._debugger.wait("once", 0))
    jobs.sagemaker.call("DeleteTrainingJob", {"TrainingJobName": "once"})
