"""Stopping jobs by the beginning of their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aws_lambda_powertools import Logger

from .custom_resource import Deadline
from .listing import call_unless_gone, listed

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["JobKind", "Unfinished", "run_job_kinds", "stop_jobs"]

logger = Logger(child=True)

Unfinished = Literal["InProgress", "Stopping"]
"""Statuses of a job that still writes: a stopped one has 120 seconds, and then its results are uploaded."""


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """How jobs of a kind are listed and stopped; `name` is for example `TrainingJob`."""

    name: str
    pages: Callable[[Unfinished], Any]
    stop: Callable[..., Mapping[str, Any] | None]


def stop_jobs(
    kinds: Iterable[JobKind], prefix: str, deadline: Deadline, *, ours: Callable[[str], bool] = lambda name: True
) -> list[str]:
    """Stop the running jobs whose names begin with `prefix` and are `ours`, and return all that have not ended yet."""
    unfinished: list[str] = []
    for kind in kinds:

        def names(status: Unfinished, kind: JobKind = kind) -> list[str]:
            member, name = f"{kind.name}Summaries", f"{kind.name}Name"
            found = listed(kind.pages(status), member=member, name=name, prefix=prefix, deadline=deadline)
            return [job for job in found if ours(job)]

        running = names("InProgress")
        for name in running:
            call_unless_gone(kind.stop, deadline=deadline, doing=f"stopping {name}", **{f"{kind.name}Name": name})
        unfinished += [*running, *names("Stopping")]
    logger.info("jobs stopped", extra={"unfinished": unfinished})
    return unfinished


def run_job_kinds(sagemaker: SageMakerClient, prefix: str) -> list[JobKind]:
    """Return the kinds of job that runs make, to list those whose names hold `prefix`.

    Tuning jobs come first, since they would replace a stopped trial by the next.
    """
    tunings = sagemaker.get_paginator("list_hyper_parameter_tuning_jobs")
    trainings = sagemaker.get_paginator("list_training_jobs")
    processings = sagemaker.get_paginator("list_processing_jobs")
    return [
        JobKind(
            name="HyperParameterTuningJob",
            pages=lambda status: tunings.paginate(NameContains=prefix, StatusEquals=status),
            stop=sagemaker.stop_hyper_parameter_tuning_job,
        ),
        JobKind(
            name="TrainingJob",
            pages=lambda status: trainings.paginate(NameContains=prefix, StatusEquals=status),
            stop=sagemaker.stop_training_job,
        ),
        JobKind(
            name="ProcessingJob",
            pages=lambda status: processings.paginate(NameContains=prefix, StatusEquals=status),
            stop=sagemaker.stop_processing_job,
        ),
    ]
