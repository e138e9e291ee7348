"""The jobs of an environment as SageMaker remembers them: which machines they had, and when.

SageMaker forgets no job, so that they tell what a month has cost, whatever became of the stack. The functions take the
caller's client and import none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from contract.cost import OVERHEAD_SECONDS, machine_usd
from contract.machine_time import MachineTime, processing_time, training_time, transform_time

__all__ = ["RecordedJob", "recorded_jobs", "searching"]

_RUNNING: Final = ("InProgress", "Stopping")
_LONGEST: Final = timedelta(days=60)
"""A job that was made so long ago has ended: SageMaker lets one run for 28 days, and wait for spot machines as long."""


@dataclass(frozen=True)
class RecordedJob:
    """A training, processing or transform job."""

    time: MachineTime
    start: datetime | None
    end: datetime | None
    limit_seconds: float | None
    """How long it may run; None for a transform job, which has no limit."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.time.job

    @property
    def is_running(self) -> bool:
        """Whether it may yet cost more."""
        return self.time.status in _RUNNING

    def usd_between(self, begin: datetime, end: datetime, *, now: datetime) -> float | None:
        """Return what it costs within a time: by its bill once it has ended, by its limit while it runs.

        None where the machine's price is not known.
        """
        if self.is_running:
            elapsed = (now - self.start).total_seconds() if self.start else 0.0
            seconds = elapsed if self.limit_seconds is None else self.limit_seconds + OVERHEAD_SECONDS
            return machine_usd(self.time.instance_type, seconds=seconds * self.time.instances)
        if self.start is None or self.end is None:
            return 0.0
        inside = (min(self.end, end) - max(self.start, begin)).total_seconds()
        worked = (self.end - self.start).total_seconds()
        share = 1.0 if inside >= worked else max(0.0, inside) / worked
        usd = self.time.usd
        return None if usd is None else usd * share


@dataclass(frozen=True)
class _Kind:
    name: str
    list: str
    """The paginator of its list."""
    time: Callable[..., MachineTime]
    ended: str
    """The member of an item of the list with the time of its end."""
    has_limit: bool


_KINDS: Final = (
    _Kind("Training", "list_training_jobs", training_time, "TrainingEndTime", has_limit=True),
    _Kind("Processing", "list_processing_jobs", processing_time, "ProcessingEndTime", has_limit=True),
    _Kind("Transform", "list_transform_jobs", transform_time, "TransformEndTime", has_limit=False),
)


def recorded_jobs(sagemaker: Any, *, prefix: str, since: datetime) -> Iterator[RecordedJob]:
    """Yield the jobs whose names begin with a prefix, and that had not ended at a time.

    Args:
        sagemaker: The caller's client; it lists and describes.
        prefix: What the names begin with; trials are named after their tuning job.
        since: Jobs that ended before are left out.
    """
    for kind in _KINDS:
        pages = sagemaker.get_paginator(kind.list).paginate(NameContains=prefix, CreationTimeAfter=since - _LONGEST)
        names = [
            item[f"{kind.name}JobName"]
            for page in pages
            for item in page[f"{kind.name}JobSummaries"]
            if item[f"{kind.name}JobName"].startswith(prefix) and (item.get(kind.ended) or since) >= since
        ]
        describe = getattr(sagemaker, f"describe_{kind.name.lower()}_job")
        for name in names:
            yield _recorded(kind, name, describe(**{f"{kind.name}JobName": name}))


def _recorded(kind: _Kind, name: str, answer: Mapping[str, Any]) -> RecordedJob:
    limit = answer.get("StoppingCondition", {}).get("MaxRuntimeInSeconds") if kind.has_limit else None
    return RecordedJob(
        time=kind.time(answer, job=name, title=kind.name),
        start=answer.get(f"{kind.name}StartTime"),
        end=answer.get(f"{kind.name}EndTime"),
        limit_seconds=limit,
    )


def searching(sagemaker: Any, *, prefix: str) -> list[str]:
    """Return the tuning jobs that have not ended, and may start further trials."""
    pages = sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(NameContains=prefix)
    return [
        item["HyperParameterTuningJobName"]
        for page in pages
        for item in page["HyperParameterTuningJobSummaries"]
        if item["HyperParameterTuningJobName"].startswith(prefix) and item["HyperParameterTuningJobStatus"] in _RUNNING
    ]
