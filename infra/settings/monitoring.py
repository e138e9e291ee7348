"""The settings of the monitoring: alarms and dashboard, which cost a little each month."""

from __future__ import annotations

from pydantic import Field

from infra.settings.section import Section

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
