"""The operations CreateTrainingJob and StopTrainingJob."""

from __future__ import annotations

from collections.abc import Callable

from local import clock
from local.sagemaker.context import Context
from local.sagemaker.early_checks import check_input_data
from local.sagemaker.errors import validation
from local.sagemaker.jobs.debugger import Debugger, first_statuses
from local.sagemaker.jobs.job_run import RunningJobs
from local.sagemaker.jobs.training_request import check_training_request
from local.sagemaker.jobs.training_run import MESSAGES, OnMetric, TrainingRun, artefact_uri, enter
from local.sagemaker.resources import TRAINING_JOB
from local.sagemaker.store import Record

__all__ = ["TrainingJobs"]

_DEFAULT_RUNTIME = 86_400
"""MaxRuntimeInSeconds if the request gives none: one day (API reference, StoppingCondition)."""


class TrainingJobs:
    """The training jobs: start, stop and wait for them."""

    def __init__(self, context: Context, debugger: Debugger) -> None:
        self._context = context
        self._debugger = debugger
        self._running = RunningJobs(TRAINING_JOB)

    def create(
        self,
        parameters: Record,
        *,
        tuning_job_arn: str | None = None,
        on_metric: OnMetric | None = None,
        on_end: Callable[[str], None] | None = None,
    ) -> str:
        """Start a job and return its ARN.

        Args:
            parameters: the request of CreateTrainingJob.
            tuning_job_arn: ARN of the tuning job that the job is a trial of.
            on_metric: called with every metric that the job prints.
            on_end: called with the job's name when it has ended.

        Raises:
            SageMakerError: the request is wrong, its input does not exist, the name is taken, or too many jobs run.
        """
        image = check_training_request(self._context, parameters)
        if tuning_job_arn is None:
            # trials are limited by their tuning job, and their input was checked with it
            check_input_data(self._context, parameters.get("InputDataConfig", []), parameters["RoleArn"])
            self._running.check_limit()

        name = parameters["TrainingJobName"]
        stopping = {"MaxRuntimeInSeconds": _DEFAULT_RUNTIME, **parameters["StoppingCondition"]}
        now = clock.time()
        record = self._context.store.create(
            TRAINING_JOB,
            parameters,
            TrainingJobStatus="InProgress",
            SecondaryStatus="Starting",
            SecondaryStatusTransitions=[
                {"Status": "Starting", "StartTime": now, "StatusMessage": MESSAGES["Starting"]}
            ],
            StoppingCondition=stopping,
            ModelArtifacts={"S3ModelArtifacts": artefact_uri(parameters, "model")},
            EnableNetworkIsolation=parameters.get("EnableNetworkIsolation", False),
            EnableInterContainerTrafficEncryption=parameters.get("EnableInterContainerTrafficEncryption", False),
            EnableManagedSpotTraining=parameters.get("EnableManagedSpotTraining", False),
            **({"TuningJobArn": tuning_job_arn} if tuning_job_arn else {}),
            **first_statuses(self._context, parameters),
        )
        self._context.announce(TRAINING_JOB, name)

        def ended(job: str) -> None:
            self._debugger.training_ended(record)
            if on_end is not None:
                on_end(job)

        self._running.start(TrainingRun(self._context, record, image=image, on_metric=on_metric), on_end=ended)
        return str(record["TrainingJobArn"])

    def stop(self, name: str) -> None:
        """Begin to stop a job.

        Raises:
            SageMakerError: there is no job of this name, or it has ended.
        """
        with self._context.store.change(TRAINING_JOB, name) as record:
            status = record["TrainingJobStatus"]
            if status not in ("InProgress", "Stopping"):
                raise validation(f"The request was rejected because the training job is in status {status}.")
            if status == "InProgress":
                enter(record, "Stopping", status="Stopping")
        self._context.announce(TRAINING_JOB, name)
        self._running.request_stop(name)

    def wait(self, name: str, timeout: float) -> bool:
        """Wait until nothing runs for the job of this name, at most `timeout` seconds; whether that is so."""
        return self._running.wait(name, timeout)

    def join(self, timeout: float) -> None:
        """Wait for the running jobs to end, at most `timeout` seconds."""
        self._running.join(timeout)
