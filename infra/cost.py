"""What the settings of an environment may cost: the machines of a run's jobs with their limits, and of the endpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import contract
from infra.instances import fine_tuning_rate, gpus, virtual_cpus
from infra.settings import Settings

__all__ = ["cost_plan", "expected_seconds", "fleet", "planned_jobs", "triggered_runs"]

_TRAINING_SHARE: Final = 0.7
"""Of the photos, about; the others validate and test."""
_SIZE: Final = 224
"""Side in pixels of the photos that the rates were measured with."""
_LONGEST_MONTH: Final = 31
"""Days."""
_HEAD_SECONDS: Final = 60
"""A head is trained on features within a minute, and so is the debugger's rules' job done."""


def planned_jobs(settings: Settings) -> list[contract.PlannedJob]:
    """Return the jobs of a run: that of the features, each trial, the training and, where it is ours, the rules'."""
    return list(_jobs(settings))


def fleet(settings: Settings) -> contract.Fleet | None:
    """Return the most machines that the endpoint may have; None for a serverless one."""
    if settings.serving.mode == "serverless":
        return None
    return contract.Fleet(instance_type=settings.release.instance_type, instances=settings.most_instances)


def cost_plan(settings: Settings) -> contract.CostPlan | None:
    """Return what CheckDataset holds against budget.ceiling; None without a ceiling."""
    if settings.budget.ceiling is None:
        return None
    return contract.CostPlan(
        ceiling=settings.budget.ceiling,
        jobs=planned_jobs(settings),
        fleet=fleet(settings),
        shadow_minutes=settings.release.shadow_minutes,
    )


def triggered_runs(settings: Settings) -> dict[contract.Trigger, int | None]:
    """Return how many runs a month each trigger of the settings starts at most; None where people decide on it."""
    chosen = settings.triggers
    found: dict[contract.Trigger, int | None] = {}
    if chosen.ready_object:
        found["ready"] = None
    if chosen.schedule is not None:
        found["schedule"] = contract.runs_a_month(chosen.schedule)
    if chosen.drift:
        found["drift"] = math.ceil(_LONGEST_MONTH / chosen.drift_days)
    return found


def expected_seconds(settings: Settings, job: contract.PlannedJob, *, photos: int) -> float | None:
    """Return about how long one job of a run takes, with a ResNet50 or a smaller network.

    None with a GPU where it reads photos: this project measured no such machine.

    Args:
        settings: The environment's.
        job: The job; of trials, one of them.
        photos: Of the data set, in all splits.
    """
    training, finetunes = settings.training, settings.training.mode == "finetune"
    area = (training.image_size / _SIZE) ** 2
    if job["phase"] == "rules" or (job["phase"] == "trials" and not finetunes):
        return contract.START_SECONDS + _HEAD_SECONDS
    if gpus(job["instance_type"]):
        return None

    # every photo and every view once through the network
    if job["phase"] == "features" or not finetunes:
        views = photos * (1 + training.views * _TRAINING_SHARE) if job["phase"] == "features" else photos
        cpus = virtual_cpus(job["instance_type"]) * job["instances"]
        seconds = views * area * contract.FORWARD_CPU_SECONDS / cpus
        return contract.START_SECONDS + seconds + (0 if job["phase"] == "features" else _HEAD_SECONDS)

    epochs = settings.tuning.epochs if job["phase"] == "trials" else training.epochs
    rate = fine_tuning_rate(job["instance_type"]) or 0.0
    return contract.START_SECONDS + photos * _TRAINING_SHARE * area * epochs / (rate * job["instances"])


def _jobs(settings: Settings) -> Iterator[contract.PlannedJob]:
    training, tuning, debugger = settings.training, settings.tuning, settings.debugger
    finetunes = training.mode == "finetune"
    yield _job("features", training.instance_type, settings.features.instance_count, minutes=training.max_minutes)
    trial = training.instance_type if finetunes else tuning.instance_type
    yield _job("trials", trial, 1, minutes=tuning.max_minutes)
    yield _job(
        "training", training.instance_type, training.instance_count if finetunes else 1, minutes=training.max_minutes
    )

    # SageMaker Debugger evaluates its own rules at no charge
    own = debugger.evaluator(training.mode) in ("own", "auto") and debugger.tensor_rules(training.mode)
    if own:
        yield _job("rules", debugger.instance_type, 1, minutes=debugger.max_minutes)


def _job(phase: contract.JobPhase, instance_type: str, instances: int, *, minutes: int) -> contract.PlannedJob:
    return contract.PlannedJob(phase=phase, instance_type=instance_type, instances=instances, max_seconds=minutes * 60)
