"""How long a job kept which machines, as SageMaker's descriptions tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contract.cost import machine_usd

__all__ = ["MachineTime", "processing_time", "training_time", "transform_time"]


@dataclass(frozen=True)
class MachineTime:
    """The machines of one job, or of all trials of a tuning job together."""

    title: str
    job: str
    status: str
    instance_type: str
    instances: int
    seconds: float
    """Seconds for which each of the instances is billed."""
    spot: bool
    saved_seconds: float = 0.0
    """Seconds for which each of the instances worked and is not billed, as spot instances are cheaper."""

    @property
    def usd(self) -> float | None:
        """What it cost, or None where the machine's price is not known."""
        return machine_usd(self.instance_type, seconds=self.seconds * self.instances)

    @property
    def saved_usd(self) -> float | None:
        """What spot instances saved, or None where the machine's price is not known."""
        return machine_usd(self.instance_type, seconds=self.saved_seconds * self.instances)


def training_time(answer: Mapping[str, Any], *, job: str, title: str) -> MachineTime:
    """Return the machine time of DescribeTrainingJob's answer: what is billed, and what spot instances saved."""
    resources = answer["ResourceConfig"]
    worked = _seconds(answer.get("TrainingStartTime"), answer.get("TrainingEndTime"))
    billed = answer.get("BillableTimeInSeconds")
    seconds = float(worked if billed is None else billed)
    spot = bool(answer.get("EnableManagedSpotTraining"))
    saved = float(answer.get("TrainingTimeInSeconds", seconds)) - seconds if spot else 0.0
    return MachineTime(
        title=title,
        job=job,
        status=answer["TrainingJobStatus"],
        instance_type=resources["InstanceType"],
        instances=resources["InstanceCount"],
        seconds=seconds,
        spot=spot,
        saved_seconds=max(0.0, saved),
    )


def processing_time(answer: Mapping[str, Any], *, job: str, title: str) -> MachineTime:
    """Return the machine time of DescribeProcessingJob's answer."""
    cluster = answer["ProcessingResources"]["ClusterConfig"]
    return MachineTime(
        title=title,
        job=job,
        status=answer["ProcessingJobStatus"],
        instance_type=cluster["InstanceType"],
        instances=cluster["InstanceCount"],
        seconds=_seconds(answer.get("ProcessingStartTime"), answer.get("ProcessingEndTime")),
        spot=False,
    )


def transform_time(answer: Mapping[str, Any], *, job: str, title: str) -> MachineTime:
    """Return the machine time of DescribeTransformJob's answer."""
    resources = answer["TransformResources"]
    return MachineTime(
        title=title,
        job=job,
        status=answer["TransformJobStatus"],
        instance_type=resources["InstanceType"],
        instances=resources["InstanceCount"],
        seconds=_seconds(answer.get("TransformStartTime"), answer.get("TransformEndTime")),
        spot=False,
    )


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return (end - start).total_seconds() if start and end else 0.0
