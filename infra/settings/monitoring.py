"""The settings of the monitoring: alarms, dashboard, captured answers and their check for drift."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

import contract
from infra.settings.section import ONE_OR_MORE, Section

__all__ = ["MonitoringSettings"]


class MonitoringSettings(Section):
    """What is watched, and when somebody is told."""

    alarms: bool = Field(
        default=True,
        description="Whether alarms watch the API, its functions and the runs, and tell by notifications.email. Beyond "
        "an account's first ten they cost about 0.10 dollars a month each.",
    )
    dashboard: bool = Field(
        default=True,
        description="Whether the stack has a dashboard. Beyond an account's first three it costs 3 dollars a month.",
    )
    api_error_share: float = Field(
        default=0.05, gt=0, le=1, description="Share of API answers of 500 to 599 above which an alarm comes."
    )
    expect_requests_hours: int | None = Field(
        default=None,
        ge=1,
        le=24,
        description="Hours after which an alarm comes if nobody has asked the API; empty: never.",
    )
    capture_percent: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Percent of the endpoint's answers that are kept in the data bucket, for the drift check; 0: none. "
        "Takes effect with the next release.",
    )
    capture_photos: bool = Field(
        default=False,
        description="Whether the photos of these answers are kept, too. They are other people's: ask whether you may.",
    )
    capture_days: int = Field(
        default=30, ge=1, le=365, description="Days after which captured answers and photos are deleted."
    )
    drift_hours: int | None = Field(
        default=24,
        ge=1,
        le=168,
        description="Hours between two checks of captured answers against those to the test photos; empty: none.",
    )
    drift_share: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Share of the answers that have to differ for drift, beside being more than chance.",
    )
    drift_measures: Annotated[tuple[contract.DriftMeasure, ...], ONE_OR_MORE] = Field(
        default=contract.DRIFT_MEASURES,
        min_length=1,
        description="What counts as drift; other measures are shown only.",
    )

    @property
    def checks_drift(self) -> bool:
        """Whether captured answers are checked."""
        return self.capture_percent > 0 and self.drift_hours is not None

    @model_validator(mode="after")
    def _capture_is_on(self) -> MonitoringSettings:
        """Refuse settings of what is not captured."""
        given = [name for name in type(self).model_fields if name.startswith(("capture_", "drift_"))]
        idle = [f"monitoring.{name}" for name in given if name in self.model_fields_set and name != "capture_percent"]
        if idle and not self.capture_percent:
            raise ValueError(
                f"{', '.join(idle)} has no effect with monitoring.capture_percent=0, which captures nothing; set it to "
                "1 to 100, or leave the others out"
            )
        return self
