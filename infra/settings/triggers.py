"""The settings of what starts runs by itself; each is off by default, since a run costs money."""

from __future__ import annotations

import re
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator

import contract
from infra.settings.section import Section

__all__ = ["TriggersSettings"]


def _schedule(expression: str) -> str:
    contract.check_schedule(expression)
    return expression


def _time_zone(name: str) -> str:
    # a machine without a data base of time zones leaves the check to AWS
    known = available_timezones()
    if (known and name not in known) or not re.fullmatch(r"[A-Za-z0-9_+/-]{1,50}", name):
        raise ValueError(f"{name} is no time zone of the IANA data base; give one such as Europe/Berlin, or UTC")
    return name


class TriggersSettings(Section):
    """What starts a run without a person."""

    ready_object: bool = Field(
        default=False,
        description=f"Whether an object named {contract.READY_FILE} right below dataset.prefix starts a run, each time "
        "that it is uploaded.",
    )
    schedule: Annotated[str, AfterValidator(_schedule)] | None = Field(
        default=None,
        description="When a run is started, as rate(7 days) or cron(0 3 ? * SUN *); not while one goes on; empty: "
        "never.",
    )
    time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(
        default="UTC", description="IANA time zone of triggers.schedule, such as Europe/Berlin."
    )
    drift: bool = Field(
        default=False,
        description="Whether a run is started when photos are found to have drifted; not while one goes on.",
    )
    drift_days: int = Field(
        default=7, ge=1, le=90, description="Days that lie between two runs that drift starts, at least."
    )

    @property
    def any(self) -> bool:
        """Whether anything starts runs."""
        return self.ready_object or self.drift or self.schedule is not None

    @model_validator(mode="after")
    def _time_zone_has_a_schedule(self) -> TriggersSettings:
        if self.time_zone != "UTC" and self.schedule is None:
            raise ValueError(
                f"triggers.time_zone={self.time_zone} has no effect without triggers.schedule; set it, or leave "
                "triggers.time_zone out"
            )
        return self
