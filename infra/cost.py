"""What the settings of an environment may cost: the machines of a run's jobs with their limits, and of the endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import contract
from infra.settings import Settings

__all__ = ["cost_plan", "fleet", "planned_jobs"]


def planned_jobs(settings: Settings) -> list[contract.PlannedJob]:
    """Return the jobs of a run: that of the features, each trial, the training and, where it is ours, the rules'."""
    return list(_jobs(settings))


def fleet(settings: Settings) -> contract.Fleet | None:
    """Return the machines of the endpoint; None for a serverless one."""
    if settings.serving.mode == "serverless":
        return None
    return contract.Fleet(instance_type=settings.release.instance_type, instances=settings.release.instance_count)


def cost_plan(settings: Settings) -> contract.CostPlan | None:
    """Return what CheckDataset holds against budget.ceiling; None without a ceiling."""
    if settings.budget.ceiling is None:
        return None
    return contract.CostPlan(ceiling=settings.budget.ceiling, jobs=planned_jobs(settings), fleet=fleet(settings))


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
