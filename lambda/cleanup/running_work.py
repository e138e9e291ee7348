"""Stopping what still runs in an environment: its executions and, by their prefix, its jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_state_machine
from shared.custom_resource import Deadline

from .listing import call_unless_gone, listed

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions import SFNClient

__all__ = ["stop_executions", "stop_jobs"]

logger = Logger(child=True)

Unfinished = Literal["InProgress", "Stopping"]
"""Statuses of a job that still writes: a stopped one has 120 seconds, and then its results are uploaded."""


@dataclass(frozen=True, kw_only=True)
class _JobKind:
    name: str
    pages: Callable[[Unfinished], Any]
    stop: Callable[..., Mapping[str, Any] | None]


def stop_executions(states: SFNClient, state_machine: str, deadline: Deadline) -> None:
    """Stop every running execution, so that nothing new is made while the rest is deleted."""
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=state_machine, statusFilter="RUNNING")
    try:
        running = listed(pages, member="executions", name="executionArn", deadline=deadline)
    except ClientError as error:
        if not is_missing_state_machine(error):
            raise
        return

    def stop(**execution: Any) -> object:
        return states.stop_execution(error="StackDestroyed", cause="The stack is being destroyed.", **execution)

    for arn in running:
        call_unless_gone(stop, executionArn=arn, deadline=deadline, doing="stopping executions")
    logger.info("executions stopped", extra={"count": len(running)})


def stop_jobs(sagemaker: SageMakerClient, prefix: str, deadline: Deadline) -> list[str]:
    """Stop the running jobs, and return the names of all that have not ended yet."""
    unfinished: list[str] = []
    for kind in _job_kinds(sagemaker, prefix):

        def names(status: Unfinished, kind: _JobKind = kind) -> list[str]:
            member, name = f"{kind.name}Summaries", f"{kind.name}Name"
            return listed(kind.pages(status), member=member, name=name, prefix=prefix, deadline=deadline)

        running = names("InProgress")
        for name in running:
            call_unless_gone(kind.stop, deadline=deadline, doing=f"stopping {name}", **{f"{kind.name}Name": name})
        unfinished += [*running, *names("Stopping")]
    logger.info("jobs stopped", extra={"unfinished": unfinished})
    return unfinished


def _job_kinds(sagemaker: SageMakerClient, prefix: str) -> list[_JobKind]:
    """Return the kinds of job; tuning jobs first, since they would replace a stopped trial by the next."""
    tunings = sagemaker.get_paginator("list_hyper_parameter_tuning_jobs")
    trainings = sagemaker.get_paginator("list_training_jobs")
    processings = sagemaker.get_paginator("list_processing_jobs")
    transforms = sagemaker.get_paginator("list_transform_jobs")
    return [
        _JobKind(
            name="HyperParameterTuningJob",
            pages=lambda status: tunings.paginate(NameContains=prefix, StatusEquals=status),
            stop=sagemaker.stop_hyper_parameter_tuning_job,
        ),
        _JobKind(
            name="TrainingJob",
            pages=lambda status: trainings.paginate(NameContains=prefix, StatusEquals=status),
            stop=sagemaker.stop_training_job,
        ),
        _JobKind(
            name="ProcessingJob",
            pages=lambda status: processings.paginate(NameContains=prefix, StatusEquals=status),
            stop=sagemaker.stop_processing_job,
        ),
        _JobKind(
            name="TransformJob",
            pages=lambda status: transforms.paginate(NameContains=prefix, StatusEquals=status),
            stop=sagemaker.stop_transform_job,
        ),
    ]
