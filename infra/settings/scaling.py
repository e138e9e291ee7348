"""Settings of automatic scaling: how many instances a real-time endpoint may have, and what adds and removes them."""

from __future__ import annotations

from pydantic import Field

from infra.settings.section import Section

__all__ = ["ScalingSettings"]


class ScalingSettings(Section):
    """How a real-time endpoint follows the requests; the fewest instances are `release.instance_count`."""

    max_instances: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Most instances of a real-time endpoint: a policy adds instances where there are more requests, "
        "and removes them down to release.instance_count. Empty, or as many as that: the number stays. Takes effect "
        "with the next release.",
    )
    invocations_per_instance: float = Field(
        default=400,
        ge=1,
        le=1_000_000,
        description="Requests a minute that one instance is meant to get; above it instances are added. The default is "
        "half of what an ml.m5.large answers with a ResNet50.",
    )
    out_cooldown_seconds: int = Field(
        default=300, ge=0, le=3600, description="Seconds after instances were added until more may be."
    )
    in_cooldown_seconds: int = Field(
        default=300, ge=0, le=3600, description="Seconds after instances were removed until more may be."
    )
