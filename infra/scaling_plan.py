"""How the endpoint of an environment scales, for the stack and for the command line."""

from __future__ import annotations

import contract
from infra.names import Names
from infra.settings import Settings

__all__ = ["scaling_plan"]


def scaling_plan(settings: Settings) -> contract.ScalingPlan | None:
    """Return how the endpoint of an environment scales; None where the number of instances stays."""
    if not settings.scales:
        return None
    return contract.ScalingPlan(
        endpoint=Names(settings.prefix).endpoint,
        min_instances=settings.release.instance_count,
        max_instances=settings.most_instances,
        invocations=settings.scaling.invocations_per_instance,
        in_cooldown=settings.scaling.in_cooldown_seconds,
        out_cooldown=settings.scaling.out_cooldown_seconds,
    )
