"""Settings of who is told the result of a run."""

from __future__ import annotations

from pydantic import Field

from infra.settings.section import Section

__all__ = ["NotificationSettings"]


class NotificationSettings(Section):
    """Who is told the result of a run."""

    email: str | None = Field(
        default=None,
        pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        description="E-mail address that the results of runs and the questions for approval are sent to, once the "
        "link in AWS's first message is followed; empty: none.",
    )
