"""The budget in the template, the settings of the ceiling, and what CheckDataset is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import contract
from infra.cost import planned_jobs
from infra.settings import Settings
from infra.workflow.endpoint import PATIENCE
from local.cloud import budgets
from tests.infra.template import Template, listed

EMAIL = {"notifications.email": "ml@example.org"}


def test_a_budget_stands_by_default_and_counts_what_carries_the_environments_tag(template: Template) -> None:
    budget = template.only("AWS::Budgets::Budget")
    assert budget["Budget"] == {
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": 200, "Unit": "USD"},
        "CostFilters": {"TagKeyValue": ["user:whippet:environment$dev"]},
    }
    assert "NotificationsWithSubscribers" not in budget, "nobody is there to be told"


def test_its_alerts_go_to_the_address_and_not_to_the_topic_that_budgets_cannot_publish_to(
    synthesise: Callable[..., Template],
) -> None:
    alerts = synthesise(**EMAIL).only("AWS::Budgets::Budget")["NotificationsWithSubscribers"]
    told = [(each["Notification"]["NotificationType"], each["Notification"]["Threshold"]) for each in alerts]
    assert told == [("ACTUAL", 50), ("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]
    assert all(
        each["Subscribers"] == [{"Address": EMAIL["notifications.email"], "SubscriptionType": "EMAIL"}]
        for each in alerts
    )


def test_an_empty_amount_means_no_budget(synthesise: Callable[..., Template]) -> None:
    assert not synthesise(**{"budget.monthly": ""}).of_type("AWS::Budgets::Budget")


def test_the_local_cloud_takes_the_budget_that_aws_takes_and_refuses_others(
    synthesise: Callable[..., Template],
) -> None:
    properties = synthesise(**EMAIL).only("AWS::Budgets::Budget")
    budgets._check("Budget", properties, name="made-up")
    for wrong in ({"TimeUnit": 3}, {"BudgetName": "ours"}):
        with pytest.raises(ValueError, match="Budget"):
            budgets._check("Budget", {**properties, "Budget": {**properties["Budget"], **wrong}}, name="made-up")


def _allowed(template: Template) -> set[str]:
    return {
        action
        for name, statement in template.statements()
        if name.startswith("FunctionsCheckDataset")
        for action in listed(statement["Action"])
    }


def test_without_a_ceiling_checkdataset_learns_nothing_of_the_bill(template: Template) -> None:
    assert template.function("check_dataset")["Environment"]["Variables"]["COST_PLAN"] == ""
    assert not {action for action in _allowed(template) if action.startswith(("sagemaker:List", "states:"))}


def test_with_a_ceiling_it_is_told_every_job_and_may_look_at_the_month(synthesise: Callable[..., Template]) -> None:
    template = synthesise(**{"budget.ceiling": "100"})
    plan = json.loads(template.function("check_dataset")["Environment"]["Variables"]["COST_PLAN"])
    assert plan["ceiling"] == 100
    assert plan["fleet"] is None, "dev is serverless"
    assert [job["phase"] for job in plan["jobs"]] == ["features", "trials", "training", "rules"]
    assert _allowed(template) >= {
        "sagemaker:ListTrainingJobs",
        "sagemaker:ListHyperParameterTuningJobs",
        "sagemaker:DescribeTrainingJob",
        "states:ListExecutions",
    }


@pytest.mark.parametrize(
    ("sections", "phases"),
    [
        ({"debugger": {"mode": "off", "block": []}}, ["features", "trials", "training"]),
        ({"debugger": {"mode": "managed"}}, ["features", "trials", "training"]),
        ({}, ["features", "trials", "training", "rules"]),
    ],
)
def test_the_planned_jobs_are_those_that_are_paid_for(sections: dict[str, Any], phases: list[str]) -> None:
    assert [job["phase"] for job in planned_jobs(Settings.model_validate(sections))] == phases


def test_a_job_that_is_planned_has_the_limit_and_machine_that_the_state_machine_asks_for(template: Template) -> None:
    planned = {job["phase"]: job for job in planned_jobs(Settings())}
    states = template.definition()["States"]
    for phase, state in {"features": "Features", "training": "Train", "rules": "Rules"}.items():
        asked = states[state]["Parameters"]
        resources = asked.get("ResourceConfig") or asked["ProcessingResources"]["ClusterConfig"]
        assert asked["StoppingCondition"]["MaxRuntimeInSeconds"] == planned[phase]["max_seconds"]  # type: ignore[index]
        assert resources["InstanceType"] == planned[phase]["instance_type"]  # type: ignore[index]
        assert resources["InstanceCount"] == planned[phase]["instances"]  # type: ignore[index]
    trial = states["Tune"]["Parameters"]["TrainingJobDefinition"]
    assert trial["StoppingCondition"]["MaxRuntimeInSeconds"] == planned["trials"]["max_seconds"]
    assert trial["ResourceConfig"]["InstanceType"] == planned["trials"]["instance_type"]


def test_a_change_of_the_endpoint_and_taking_it_back_fit_into_what_is_counted() -> None:
    assert 2 * PATIENCE.to_hours() <= contract.CHANGE_HOURS


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            {"serving": {"mode": "realtime"}, "budget": {"ceiling": 80}},
            "below what the endpoint alone costs in a month, 85.56",
        ),
        (
            {"training": {"instance_type": "ml.c7i.large"}, "budget": {"ceiling": 80}},
            "training.instance_type=ml.c7i.large",
        ),
    ],
)
def test_a_ceiling_that_cannot_be_kept_is_refused(sections: dict[str, Any], words: str) -> None:
    sections = {"serving": {"mode": "serverless"}, **sections}
    with pytest.raises(ValueError, match=words):
        Settings.model_validate(sections)
