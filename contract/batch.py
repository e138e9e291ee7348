"""Batches: many photos classified in one transform job, their places in the bucket, and the answer to each."""

from __future__ import annotations

import re
from typing import Final, TypedDict

from contract.model import ProblemDetails
from contract.names import BATCHES_PREFIX

__all__ = [
    "BATCHES_DAYS",
    "BATCH_CONCURRENCY",
    "BATCH_PAYLOAD_MB",
    "BatchProblem",
    "batch_answers_key",
    "batch_job_name",
    "batch_manifest_key",
    "batch_model_name",
    "batch_photos_key",
    "is_batch_name",
]

BATCHES_DAYS: Final = 14
"""Days after which S3 deletes a batch's photos and answers: long enough to go on with an interrupted one."""

BATCH_PAYLOAD_MB: Final = 12
"""Largest photo of a batch, in MiB."""

BATCH_CONCURRENCY: Final = 8
"""Photos that the container gets at once. SageMaker takes at most 100 as the product with `BATCH_PAYLOAD_MB`
(CreateTransformJob)."""


class BatchProblem(TypedDict):
    """What the container answers in a batch to a photo that it cannot classify, with status 200.

    An error's status would fail the whole transform job (TransformOutput, SageMaker API reference).
    """

    error: ProblemDetails


def batch_model_name(prefix: str, batch: str) -> str:
    """Return the name of the model of a batch, 12 hexadecimal digits: the one in service, with the batches' role."""
    return f"{prefix}-batch-{batch}"


def batch_job_name(prefix: str, batch: str, attempt: int) -> str:
    """Return the name of a batch's transform job; one that was interrupted is followed by another attempt."""
    return f"{batch_model_name(prefix, batch)}-{attempt}"


def is_batch_name(name: str, *, prefix: str) -> bool:
    """Return whether a model or a job belongs to a batch, and not to a run, whose name is never that long."""
    return re.fullmatch(rf"{re.escape(prefix)}-batch-[0-9a-f]{{12}}(-\d+)?", name) is not None


def batch_photos_key(batch: str) -> str:
    """Return the key prefix of the photos that were uploaded for a batch."""
    return f"{BATCHES_PREFIX}{batch}/photos/"


def batch_answers_key(batch: str) -> str:
    """Return the key prefix of the answers, which SageMaker names after the photo's key, with `.out` at the end."""
    return f"{BATCHES_PREFIX}{batch}/answers/"


def batch_manifest_key(batch: str, attempt: int) -> str:
    """Return the key of the list of the photos that an attempt is asked about."""
    return f"{BATCHES_PREFIX}{batch}/manifests/{attempt}.json"
