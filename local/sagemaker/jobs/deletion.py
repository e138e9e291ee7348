"""The operations DeleteTrainingJob, DeleteProcessingJob and DeleteHyperParameterTuningJob: the records of ended jobs.

SageMaker has no such operation for transform jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from local.sagemaker.context import Context
from local.sagemaker.errors import SageMakerError
from local.sagemaker.resources import Kind
from local.sagemaker.store import Record

__all__ = ["delete_job"]

_RUNNING = ("InProgress", "Stopping")

_PATIENCE = 10.0
"""Seconds that a deletion waits for what still holds the files of an ended job: its last log lines, its rules."""


class Holder(Protocol):
    """What holds the files of a job for a while after the job's end."""

    def wait(self, name: str, timeout: float) -> bool:
        """Wait until it holds nothing of the job of this name, at most `timeout` seconds; whether it does not."""


def delete_job(context: Context, kind: Kind, parameters: Record, holders: Sequence[Holder]) -> None:
    """Delete the record of a job that has ended. What it wrote to S3 and to its log stays.

    Until then, nothing of the job runs any more: another job of the same name has its files in the same folders.

    A training or processing job's name can then be given again (API reference, "DeleteTrainingJob"), and of tuning jobs
    the reference does not say that.

    Raises:
        SageMakerError: ResourceNotFound, or ResourceInUse because the job has not ended or a holder needs its files.
    """
    name = parameters[kind.name_member]
    record = next((each for each in context.store.all(kind) if each[kind.name_member] == name), None)
    if record is None:
        raise SageMakerError("ResourceNotFound", f"Could not find {kind.name} {context.store.arn(kind, name)}.")
    status = record[kind.status_member]
    if status in _RUNNING:
        raise SageMakerError(
            "ResourceInUse", f"The request was rejected because {record[kind.arn_member]} is in status {status}."
        )
    if not all(holder.wait(name, _PATIENCE) for holder in holders):
        raise SageMakerError(
            "ResourceInUse",
            f"The request was rejected because the files of {record[kind.arn_member]} are in use: its rules are still "
            "evaluated. Try again when they are.",
        )
    context.store.delete(kind, name)
    if kind.name != "HyperParameterTuningJob":
        context.account.names.free(kind, name)
