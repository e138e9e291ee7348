"""The monthly budget in AWS Budgets, with alerts by e-mail.

The alerts go to the address itself and not through the notifications' topic: that one is encrypted with the AWS managed
key of SNS, whose policy cannot be changed, and Budgets publishes to an encrypted topic only where the key's policy lets
it ("Creating an Amazon SNS topic for budget notifications", AWS Cost Management user guide).
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_budgets as budgets
from constructs import Construct

import contract
from infra.settings import Settings

__all__ = ["Budget"]

_ALERTS: Final = (("ACTUAL", 50), ("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""Kinds and percentages; a budget has at most five alerts (AWS Budgets quotas)."""


class Budget(Construct):
    """A budget of what carries the environment's tag: the jobs, the endpoint, and batches."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, monthly: float) -> None:
        super().__init__(scope, construct_id)
        (tag,) = contract.environment_tags(settings.env)
        email = settings.notifications.email
        budgets.CfnBudget(
            self,
            "Resource",
            budget=budgets.CfnBudget.BudgetDataProperty(
                # No name: other alerts replace the budget, and CloudFormation replaces nothing that has one.
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=monthly, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:{tag['Key']}${tag['Value']}"]},
            ),
            # Budgets takes no alert that nobody gets
            notifications_with_subscribers=[_alert(kind, percent, email) for kind, percent in _ALERTS]
            if email
            else None,
        )


def _alert(kind: str, percent: int, email: str) -> budgets.CfnBudget.NotificationWithSubscribersProperty:
    return budgets.CfnBudget.NotificationWithSubscribersProperty(
        notification=budgets.CfnBudget.NotificationProperty(
            notification_type=kind, comparison_operator="GREATER_THAN", threshold=percent, threshold_type="PERCENTAGE"
        ),
        subscribers=[budgets.CfnBudget.SubscriberProperty(address=email, subscription_type="EMAIL")],
    )
