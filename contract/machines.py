"""What CheckDataset is told of the machines of a run: their disk, their processes, and the quotas that they need."""

from __future__ import annotations

from typing import Literal, TypedDict

__all__ = ["Machines", "QuotaNeed"]


class QuotaNeed(TypedDict):
    """How many instances a phase of a run takes of one of SageMaker's quotas."""

    quota: str
    """Its name in Service Quotas, such as `ml.c5.xlarge for training job usage`."""
    phase: Literal["features", "trials", "training", "rules", "release"]
    instances: int
    """Instances of the phase; for trials those of one trial, for a release those of the new fleet."""
    setting: str
    """The settings that decide on it."""


class Machines(TypedDict):
    """The environment variable MACHINES of CheckDataset."""

    processes: int
    """Processes of the training of the best trial, which share each batch."""
    disk_bytes: int | None
    """Size of the disk that photos are copied to; None where they are streamed."""
    disk: str
    """That disk in words, and what to change for a larger one."""
    fine_tuning_rate: float | None
    """Photos of 224 pixels a second that a fine-tuning of a ResNet50 trains, by estimate; None with a GPU."""
    quotas: list[QuotaNeed]
