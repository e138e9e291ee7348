"""Alarms and dashboard: each alarm that is declared is made, watches metrics that exist, and is told of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import contract
from contract import ALARMS, Alarm
from tests.infra.app_process import EVERY_FUNCTION
from tests.infra.template import Template, listed

OF_THE_ENDPOINT = {Alarm.ENDPOINT_ERRORS, Alarm.ENDPOINT_LATENCY, Alarm.ENDPOINT_UNKNOWN}
"""These have limits in their descriptions, and a test file of their own."""


@pytest.fixture(scope="module")
def watched(synthesise: Callable[..., Template]) -> Template:
    return synthesise(**EVERY_FUNCTION, **{"monitoring.expect_requests_hours": "6"})


def made(template: Template) -> dict[str, dict[str, Any]]:
    """The alarms by name."""
    found = [template.value(item["Properties"]) for item in template.of_type("AWS::CloudWatch::Alarm").values()]
    return {alarm["AlarmName"]: alarm for alarm in found}


def metrics(alarm: dict[str, Any]) -> list[tuple[str, str]]:
    """Namespace and name of the metrics that an alarm looks at."""
    if "MetricName" in alarm:
        return [(alarm["Namespace"], alarm["MetricName"])]
    looked_at = [item["MetricStat"]["Metric"] for item in alarm["Metrics"] if "MetricStat" in item]
    return [(metric["Namespace"], metric["MetricName"]) for metric in looked_at]


def test_every_declared_alarm_is_made_with_its_meaning(watched: Template) -> None:
    alarms = {name: alarm["AlarmDescription"] for name, alarm in made(watched).items()}
    assert alarms.keys() == {contract.alarm_name("whippet-dev", alarm) for alarm in Alarm}
    for alarm in set(Alarm) - OF_THE_ENDPOINT:
        assert alarms[contract.alarm_name("whippet-dev", alarm)] == ALARMS[alarm].meaning
    assert all(len(text.meaning) <= 1024 for text in ALARMS.values()), "CloudWatch's longest AlarmDescription"


def test_none_is_paid_for_where_the_settings_want_none(synthesise: Callable[..., Template], template: Template) -> None:
    assert made(template) == {}
    assert template.of_type("AWS::CloudWatch::Dashboard") == {}
    assert made(synthesise(env="prod")).keys() == {
        contract.alarm_name("whippet-prod", alarm)
        for alarm in set(Alarm) - {Alarm.NO_REQUESTS, Alarm.DRIFT, Alarm.TRIGGER_FAILED}
    }


def test_they_look_at_metrics_that_aws_publishes(watched: Template) -> None:
    known = {
        "AWS/ApiGateway": {"Count", "4XXError", "5XXError"},
        "AWS/Lambda": {"Errors", "Throttles"},
        "AWS/SageMaker": {"Invocations", "Invocation5XXErrors", "ModelLatency"},
        contract.SERVING_NAMESPACE: {contract.UNKNOWN_SHARE, contract.DRIFT_FOUND},
        "AWS/States": {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"},
        "AWS/Events": {"FailedInvocations"},
        "AWS/Scheduler": {"InvocationDroppedCount"},
    }
    for name, alarm in made(watched).items():
        looked_at = metrics(alarm)
        assert looked_at, name
        for namespace, metric in looked_at:
            assert metric in known[namespace], name


def test_a_share_of_few_requests_is_no_alarm_and_silence_is_one_only_if_requests_are_expected(
    watched: Template,
) -> None:
    alarms = made(watched)
    errors = alarms["whippet-dev-api-errors"]
    (expression,) = [item["Expression"] for item in errors["Metrics"] if "Expression" in item]
    assert expression == "IF(requests >= 20, answers / requests, 0)"
    assert (errors["Threshold"], errors["EvaluationPeriods"]) == (0.05, 3)
    silence = alarms["whippet-dev-no-requests"]
    assert (silence["Period"], silence["TreatMissingData"], silence["Threshold"]) == (6 * 3600, "breaching", 1)
    others = {
        alarm["TreatMissingData"] for name, alarm in alarms.items() if not name.endswith(("no-requests", "drift"))
    }
    assert others == {"notBreaching"}


def test_what_a_check_found_counts_until_the_next_check_that_can_tell(watched: Template) -> None:
    drift = made(watched)["whippet-dev-drift"]
    assert (drift["TreatMissingData"], drift["Threshold"], drift["Statistic"]) == ("ignore", 1, "Maximum")
    assert drift["Dimensions"] == [{"Name": "EndpointName", "Value": "whippet-dev"}]


def test_their_changes_come_to_the_function_that_tells_of_them(watched: Template) -> None:
    rules = [watched.value(item["Properties"]) for item in watched.of_type("AWS::Events::Rule").values()]
    (rule,) = [rule for rule in rules if rule.get("EventPattern", {}).get("source") == ["aws.cloudwatch"]]
    assert rule["EventPattern"]["detail"] == {
        "alarmName": [{"prefix": "whippet-dev-"}],
        "state": {"value": ["ALARM", "OK"]},
    }
    assert "AlarmActions" not in str(made(watched)), "CloudWatch may not use the topic's key"


def test_the_dashboard_answers_its_questions(watched: Template) -> None:
    body = json.loads(watched.value(watched.only("AWS::CloudWatch::Dashboard")["DashboardBody"]))
    titles = [widget["properties"].get("title", "") for widget in body["widgets"]]
    for question in ("Is it well?", "How fast?", "How much?", "Drift", "Which model?"):
        assert any(title.startswith(question) for title in titles), question
    (status,) = [widget for widget in body["widgets"] if widget["type"] == "alarm"]
    assert len(status["properties"]["alarms"]) == len(Alarm)
    # the widgets stand in rows without gaps or overlaps
    for row in {widget["y"] for widget in body["widgets"]}:
        assert sum(widget["width"] for widget in body["widgets"] if widget["y"] == row) == 24


def test_the_widgets_function_reads_records_of_releases_only(watched: Template) -> None:
    statements = [statement for name, statement in watched.statements() if name.startswith("MonitoringDashboardModel")]
    resources = {
        resource
        for statement in statements
        if "s3:GetObject" in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }
    assert len(resources) == 1
    assert resources.pop().endswith("/releases/*")
