"""CloudFormation's resource type AWS::Budgets::Budget, which ministack does not have.

Nothing on this machine costs, so a budget is only checked, against AWS's own model of CreateBudget. One with a name of
its own is refused, since AWS could not replace it, and other alerts replace a budget.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from local.cloud import seam

__all__ = ["apply"]

_TYPE: Final = "AWS::Budgets::Budget"


def apply() -> None:
    """Add the type to ministack's tables."""
    provisioners = seam.module("services.cloudformation.provisioners")
    handlers = seam.expect(provisioners, "_RESOURCE_HANDLERS")
    if _TYPE in handlers:
        raise seam.SeamError(f"ministack has an {_TYPE} of its own now, which local/cloud does not expect")

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        name = f"{stack}-{logical_id}-{secrets.token_hex(6)}"
        _check(logical_id, properties, name=name)
        return name, {}

    def update(physical_id: str, _old: dict[str, Any], new: dict[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        _check(physical_id, new, name=physical_id)
        return physical_id, {}

    def delete(_physical_id: str, _properties: dict[str, Any]) -> None:
        """Nothing is kept of it."""

    handlers[_TYPE] = {"create": create, "update": update, "delete": delete}
    # other alerts replace the budget ("AWS::Budgets::Budget": Update requires)
    seam.expect(provisioners, "_REPLACING_PROPERTIES")[_TYPE] = ("NotificationsWithSubscribers",)


def _check(logical_id: str, properties: Mapping[str, Any], *, name: str) -> None:
    """Hold a budget's properties against the API.

    Raises:
        ValueError: AWS would refuse the budget, or could not replace it.
    """
    budget = dict(properties.get("Budget") or {})
    if "BudgetName" in budget:
        raise ValueError(f"{logical_id}: CloudFormation cannot replace a budget that has a BudgetName; leave it out")
    if "BudgetLimit" in budget:
        # CloudFormation takes a number where the API takes a text
        budget["BudgetLimit"] = {**budget["BudgetLimit"], "Amount": str(budget["BudgetLimit"].get("Amount"))}
    alerts = [
        {**alert, "Notification": {**alert["Notification"], "Threshold": float(alert["Notification"]["Threshold"])}}
        for alert in properties.get("NotificationsWithSubscribers") or []
    ]

    request = {
        "AccountId": "000000000000",
        "Budget": {**budget, "BudgetName": name},
        "NotificationsWithSubscribers": alerts,
    }
    model = ServiceModel(Loader().load_service_model("budgets", "service-2"), "budgets")
    shape = model.operation_model("CreateBudget").input_shape
    if shape is None:
        raise seam.SeamError("botocore's model of CreateBudget has no request")
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise ValueError(f"{logical_id}: {report.generate_report()} (Service: Budgets)")
