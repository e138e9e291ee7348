"""Settings of when a model goes into service, and on what it runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infra.settings.rollout import RolloutSettings
from infra.settings.section import EndpointInstanceType

__all__ = ["ReleaseSettings"]


class ReleaseSettings(RolloutSettings):
    """When a model goes into service, and on what it runs."""

    min_accuracy: float = Field(
        default=0.7, ge=0, le=1, description="Lowest test accuracy with which a model is released."
    )
    accuracy_by: Literal["photo", "group"] = Field(
        default="photo",
        description="Which accuracy must reach release.min_accuracy: that on the test photos (photo), or that to "
        "expect of photos from elsewhere, with whole groups of photos held out (group).",
    )
    max_near_copies: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest share of the test photos that may be near-copies (resaved, resized, cropped) of photos "
        "that the model learnt from. Fewer are a warning, and do not count for release.min_accuracy.",
    )
    min_class_recall: float = Field(
        default=0.2, ge=0, le=1, description="Lowest recall of the worst class with which a model is released."
    )
    tolerance: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="How far a model's accuracy may be below that of the model in service, on the same photos.",
    )
    significance: float = Field(
        default=0.05,
        ge=0.000001,
        le=1,
        description="Significance level at which a model that is worse by more than the tolerance is rejected "
        "(McNemar's test).",
    )
    approval: Literal["automatic", "manual"] = Field(
        default="automatic",
        description="Whether a model that passes every check is released at once, or a person is asked first, by "
        "e-mail if notifications.email is set.",
    )
    approval_hours: int = Field(
        default=24, ge=1, le=720, description="Hours the person has to answer; afterwards the model is rejected."
    )
    min_known_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Lowest share of the test photos that have to count as known for a model to be released; empty: "
        "it is not checked.",
    )
    max_coverage_gap: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="How far a coverage measured on the test photos may be below the promised one for a model to be "
        "released; empty: it is not checked.",
    )
    kept: int = Field(
        default=2,
        ge=1,
        le=20,
        description="How many earlier releases keep their models and endpoint configurations, for `whippet rollback`. "
        "Older ones are deleted after a release.",
    )
    instance_type: EndpointInstanceType = Field(default="ml.m5.large", description="Instance type of the endpoint.")
    instance_count: int = Field(default=1, ge=1, le=100, description="Instances of the endpoint.")
    image_uri: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9./:@_-]+$",
        description="URI of another serving image; empty: the stack builds its own. On a standing stack, giving one "
        "deletes the repository with the image in service: start a run right after the change.",
    )
