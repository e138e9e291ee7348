"""The settings of the bill: the budget that warns, and the ceiling that nothing starts above."""

from __future__ import annotations

from pydantic import Field

from infra.settings.section import Section

__all__ = ["BudgetSettings"]


class BudgetSettings(Section):
    """What the environment may cost a month."""

    monthly: float | None = Field(
        default=200,
        ge=1,
        le=1_000_000,
        description="US dollars a month of the budget in AWS Budgets, which mails notifications.email at 50, 80 and "
        "100 % and when 100 % is forecast; it counts what carries the environment's tag, once that is activated in "
        "Billing; empty: no budget.",
    )
    ceiling: float | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="US dollars a month that no run, batch, wake-up or rollback may take the environment's machines "
        "above, at worst and with the endpoint for the whole month: it is refused before anything costs; empty: none.",
    )
