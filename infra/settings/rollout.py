"""Settings of the rollout: how a new model gets the endpoint's requests, and what takes them back."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from infra.settings.shadow import ShadowSettings

__all__ = ["RolloutSettings"]

_LONGEST_BAKES = 240
"""Minutes of all bakes together: a deployment has to fit into 8 hours (MaximumExecutionTimeoutInSeconds), with the
hours that SageMaker may take beside them."""


class RolloutSettings(ShadowSettings):
    """How a real-time endpoint changes to a new model."""

    rollout: Literal["canary", "linear", "all_at_once"] = Field(
        default="canary",
        description="How a new model gets a real-time endpoint's requests: a part first and then the rest (canary), in "
        "equal steps (linear), or all in one step (all_at_once). Serverless endpoints change all at once.",
    )
    canary_percent: int = Field(
        default=10, ge=5, le=50, description="Percent of the requests that the new model gets first (rollout=canary)."
    )
    linear_percent: int = Field(
        default=25, ge=10, le=50, description="Percent of the requests of each step (rollout=linear)."
    )
    bake_minutes: int = Field(
        default=10,
        ge=1,
        le=60,
        description="Minutes after each step in which an alarm takes the new model back. A canary has two steps.",
    )
    max_error_share: float | None = Field(
        default=0.05,
        ge=0.001,
        le=1,
        description="Share of a minute's requests that a real-time endpoint may answer with 5xx. More, and at least "
        "three of them, are an alarm; empty: no such alarm.",
    )
    max_latency_ms: int | None = Field(
        default=2000,
        ge=1,
        le=60_000,
        description="Milliseconds in which a real-time endpoint's model must answer 99 % of a minute's requests. More "
        "in two of three minutes is an alarm; empty: no such alarm.",
    )
    max_unknown_share: float | None = Field(
        default=0.5,
        ge=0.01,
        le=0.99,
        description="Share of the answers of one instance of a real-time endpoint that may take the photo for unknown. "
        "More is an alarm; empty: no such alarm.",
    )

    @property
    def bakes(self) -> int:
        """How often a rollout bakes: once after each step."""
        if self.rollout == "linear":
            return math.ceil(100 / self.linear_percent)
        return 2 if self.rollout == "canary" else 1

    @property
    def baking_minutes(self) -> int:
        """Minutes of all bakes together."""
        return self.bakes * self.bake_minutes

    @property
    def has_alarm(self) -> bool:
        """Whether anything can take a new model back."""
        return any(limit is not None for limit in (self.max_error_share, self.max_latency_ms, self.max_unknown_share))

    @model_validator(mode="after")
    def _bakes_fit_into_a_run(self) -> RolloutSettings:
        if self.baking_minutes > _LONGEST_BAKES:
            raise ValueError(
                f"release.bake_minutes={self.bake_minutes} after each of the {self.bakes} steps of "
                f"release.linear_percent={self.linear_percent} makes {self.baking_minutes} minutes, and at most "
                f"{_LONGEST_BAKES} are possible; lower release.bake_minutes or raise release.linear_percent"
            )
        return self

    @model_validator(mode="after")
    def _shadow_can_be_judged(self) -> RolloutSettings:
        """Refuse a shadow that nothing is asked of."""
        if self.shadow_minutes is not None and not self.has_alarm:
            raise ValueError(
                f"release.shadow_minutes={self.shadow_minutes} tries a model that no limit could refuse; give "
                "release.max_error_share, release.max_latency_ms or release.max_unknown_share, or empty "
                "release.shadow_minutes"
            )
        return self

    @model_validator(mode="after")
    def _first_step_can_be_seen(self) -> RolloutSettings:
        """Refuse an alarm that cannot go off in the first step, even if the new model answers nothing."""
        steps = {"canary": ("canary_percent", self.canary_percent), "linear": ("linear_percent", self.linear_percent)}
        if self.rollout in steps and self.max_error_share is not None:
            name, percent = steps[self.rollout]
            if 100 * self.max_error_share >= percent:
                raise ValueError(
                    f"release.max_error_share={self.max_error_share:g} is no less than the first step of "
                    f"release.{name}={percent}: if the new model failed every request, {percent} % of all would fail; "
                    f"lower release.max_error_share or raise release.{name}"
                )
        return self
