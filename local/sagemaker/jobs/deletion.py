"""The operations DeleteTrainingJob, DeleteProcessingJob and DeleteHyperParameterTuningJob: the records of ended jobs.

SageMaker has no such operation for transform jobs.
"""

from __future__ import annotations

from local.sagemaker.context import Context
from local.sagemaker.errors import SageMakerError
from local.sagemaker.resources import Kind
from local.sagemaker.store import Record

__all__ = ["delete_job"]

_RUNNING = ("InProgress", "Stopping")


def delete_job(context: Context, kind: Kind, parameters: Record) -> None:
    """Delete the record of a job that has ended. What it wrote to S3 and to its log stays.

    A training or processing job's name can then be given again (API reference, "DeleteTrainingJob"), and of tuning jobs
    the reference does not say that.

    Raises:
        SageMakerError: ResourceNotFound, or ResourceInUse because the job has not ended.
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
    context.store.delete(kind, name)
    if kind.name != "HyperParameterTuningJob":
        context.account.names.free(kind, name)
