"""Settings of what the endpoint runs on, and what it answers."""

from __future__ import annotations

from pydantic import Field, model_validator

import contract
from infra.settings.section import Section

__all__ = ["ServingSettings"]


class ServingSettings(Section):
    """What the endpoint runs on, and what it answers."""

    mode: contract.ServingMode = Field(
        default="realtime",
        description="Whether the endpoint runs on instances of its own, which are paid for by the hour (realtime), or "
        "only while it is asked, which costs nothing otherwise: after some idle minutes the first answer takes about a "
        "minute (serverless).",
    )
    memory_mb: int = Field(
        default=3072,
        ge=1024,
        le=6144,
        multiple_of=1024,
        description="Memory of a serverless endpoint's container, in steps of 1024; its share of processors grows with "
        "it.",
    )
    max_concurrency: int = Field(
        default=5,
        ge=1,
        le=200,
        description="Requests that a serverless endpoint answers at once; further ones are told to come back. New "
        "accounts have 10 for all their serverless endpoints.",
    )
    pause_after_hours: int | None = Field(
        default=None,
        ge=1,
        le=720,
        description="Hours without a request after which a real-time endpoint is deleted; the model stays, and the "
        f"next request or `whippet wake` starts it again in about {contract.WAKING_MINUTES} minutes; empty: never.",
    )
    name_unknown: bool = Field(
        default=True,
        description="Whether the answer to an unknown photo names the likeliest class as its label, too; else its "
        "label is null. Takes effect with the next release.",
    )

    @model_validator(mode="after")
    def _only_machines_pause(self) -> ServingSettings:
        if self.pause_after_hours is not None and self.mode == "serverless":
            raise ValueError(
                f"serving.pause_after_hours={self.pause_after_hours} has no effect with serving.mode=serverless: a "
                "serverless endpoint sleeps by itself and costs nothing while nobody asks; empty "
                "serving.pause_after_hours, or set serving.mode=realtime"
            )
        return self
