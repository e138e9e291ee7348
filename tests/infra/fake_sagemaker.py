"""SageMaker's jobs, models and configurations as the account keeps them, and the faults of a call."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.infra.asl_walker import Task, TaskError
from tests.infra.fake_run import JOBS

__all__ = ["Fault", "SageMaker", "lost_answer", "no_machine", "quota", "server_error", "timed_out"]

Fault = Callable[["SageMaker", Task, dict[str, Any]], Any]
"""What a call does instead: it gets the account, the task and the payload."""

_NAMES: Final = ("TrainingJobName", "HyperParameterTuningJobName", "ProcessingJobName")
_MADE: Final = {
    "CreateModel": "ModelName",
    "CreateEndpointConfig": "EndpointConfigName",
    "CreateShadowModel": "ModelName",
    "CreateShadowConfig": "EndpointConfigName",
}


class SageMaker:
    """What was made under which name: a name is never free again, and only StopTrainingJob and its like stop a job."""

    def __init__(self, tasks: Mapping[str, Task], faults: Mapping[str, list[Fault]] | None = None) -> None:
        self.jobs: dict[str, str] = {}
        self.made: set[str] = set()
        self.tasks = dict(tasks)
        for name in JOBS:
            self.tasks[name] = self._job(tasks[name])
            self.tasks[f"Stop{name}"] = self._stop
        for name, member in _MADE.items():
            self.tasks[name] = self._make(tasks[name], name, member)
        for name, given in (faults or {}).items():
            self.tasks[name] = self._faulty(self.tasks[name], given)

    @property
    def running(self) -> list[str]:
        """The jobs that still cost."""
        return [name for name, status in self.jobs.items() if status == "InProgress"]

    def goes_on(self, payload: dict[str, Any]) -> None:
        """Let the job of a request run on."""
        name = _name(payload)
        if name is not None:
            self.jobs[name] = "InProgress"

    def _faulty(self, task: Task, faults: list[Fault]) -> Task:
        left = deque(faults)
        return lambda payload: left.popleft()(self, task, payload) if left else task(payload)

    def _job(self, task: Task) -> Task:
        def create(payload: dict[str, Any]) -> Any:
            name = _name(payload)
            assert name is not None
            if name in self.jobs:
                raise TaskError(
                    "SageMaker.ResourceInUseException",
                    f"Job name must be unique within an AWS account and region, and a job named {name} exists. "
                    "(Service: AmazonSageMaker; Status Code: 400; Error Code: ResourceInUse)",
                )
            answer = {**task(payload), **{member: name for member in _NAMES if member in payload}}
            self.jobs[name] = "Completed"
            return answer

        return create

    def _stop(self, payload: dict[str, Any]) -> Any:
        name = _name(payload)
        assert name is not None
        if self.jobs.get(name) != "InProgress":
            raise TaskError(
                "SageMaker.SageMakerException",
                f"The request was rejected because the job is in status {self.jobs.get(name)}. (Service: SageMaker, "
                "Status Code: 400)",
            )
        self.jobs[name] = "Stopped"
        return {}

    def _make(self, task: Task, name: str, member: str) -> Task:
        def create(payload: dict[str, Any]) -> Any:
            what = f"{name} {payload[member]}"
            if what in self.made:
                raise TaskError("SageMaker.AmazonSageMakerException", f'Cannot create already existing "{what}".')
            self.made.add(what)
            return task(payload)

        return create


def quota(_: SageMaker, __: Task, ___: dict[str, Any]) -> Any:
    """The quota is used up, as the instances of a job that has just ended still count."""
    raise TaskError(
        "SageMaker.ResourceLimitExceededException",
        "The account-level service limit 'ml.c5.2xlarge for training job usage' is 1 Instances, with current "
        "utilization of 1 Instances and a request delta of 1 Instances.",
    )


def server_error(_: SageMaker, __: Task, ___: dict[str, Any]) -> Any:
    """SageMaker fails and has done nothing."""
    raise TaskError(
        "SageMaker.AmazonSageMakerException",
        "null (Service: AmazonSageMaker; Status Code: 500; Error Code: InternalFailure)",
    )


def lost_answer(sagemaker: SageMaker, task: Task, payload: dict[str, Any]) -> Any:
    """The call is carried out, and its answer gets lost: a job runs on."""
    task(payload)
    sagemaker.goes_on(payload)
    raise TaskError("SageMaker.SdkClientException", "Unable to execute HTTP request: The server failed to respond")


def no_machine(_: SageMaker, task: Task, payload: dict[str, Any]) -> Any:
    """The job fails since no machine is free."""
    task(payload)
    reason = "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different type."
    raise TaskError("States.TaskFailed", json.dumps({"TrainingJobStatus": "Failed", "FailureReason": reason}))


def timed_out(sagemaker: SageMaker, task: Task, payload: dict[str, Any]) -> Any:
    """The state's time is up while the job still waits for its machine."""
    task(payload)
    sagemaker.goes_on(payload)
    raise TaskError("States.Timeout", "")


def _name(payload: dict[str, Any]) -> str | None:
    return next((payload[member] for member in _NAMES if member in payload), None)
