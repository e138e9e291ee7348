"""Stopping what still runs in an environment: its executions and, by their prefix, its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_state_machine
from shared.custom_resource import Deadline
from shared.listing import call_unless_gone, listed
from shared.running_jobs import JobKind, run_job_kinds, stop_jobs

import contract

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions import SFNClient

__all__ = ["stop_all_jobs", "stop_executions"]

logger = Logger(child=True)


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
        return states.stop_execution(error=contract.STACK_DESTROYED, cause="The stack is being destroyed.", **execution)

    for arn in running:
        call_unless_gone(stop, executionArn=arn, deadline=deadline, doing="stopping executions")
    logger.info("executions stopped", extra={"count": len(running)})


def stop_all_jobs(sagemaker: SageMakerClient, prefix: str, deadline: Deadline) -> list[str]:
    """Stop the running jobs of runs and batches, and return the names of all that have not ended yet."""
    transforms = sagemaker.get_paginator("list_transform_jobs")
    batches = JobKind(
        name="TransformJob",
        pages=lambda status: transforms.paginate(NameContains=prefix, StatusEquals=status),
        stop=sagemaker.stop_transform_job,
    )
    return stop_jobs([*run_job_kinds(sagemaker, prefix), batches], prefix, deadline)
