"""Settings of the shadow: a new model gets a copy of the requests before callers get its answers."""

from __future__ import annotations

from pydantic import Field

from infra.settings.section import Section

__all__ = ["ShadowSettings"]


class ShadowSettings(Section):
    """How long, and by how many requests, a new model is tried as the shadow of the model in service."""

    shadow_minutes: int | None = Field(
        default=None,
        ge=5,
        le=240,
        description="Minutes for which a new model gets a copy of a real-time endpoint's requests before its rollout, "
        "as a shadow variant on instances of its own; if it fails them, it is not released. Empty: no shadow.",
    )
    shadow_percent: int = Field(
        default=100, ge=1, le=100, description="Percent of the requests of which the shadow gets a copy."
    )
    shadow_requests: int = Field(
        default=100,
        ge=20,
        le=1_000_000,
        description="Fewest copied requests by which the shadow is judged; after fewer the model is not released.",
    )
