"""The endpoint's alarms in the template, and who is told of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import contract
from tests.infra.template import Template, listed


@pytest.fixture(scope="module")
def template(synthesise: Callable[..., Template]) -> Template:
    limits = {"max_error_share": "0.02", "max_latency_ms": "750", "max_unknown_share": "0.4"}
    return synthesise(**{"serving.mode": "realtime"}, **{f"release.{name}": value for name, value in limits.items()})


@pytest.fixture(scope="module")
def alarms(template: Template) -> dict[str, dict[str, Any]]:
    """The alarms' properties by the end of their names."""
    found = [item["Properties"] for item in template.of_type("AWS::CloudWatch::Alarm").values()]
    return {properties["AlarmName"].removeprefix("whippet-dev-endpoint-"): properties for properties in found}


def dimensions(metric: dict[str, Any]) -> dict[str, str]:
    return {entry["Name"]: entry["Value"] for entry in metric["Dimensions"]}


VARIANT = {"EndpointName": "whippet-dev", "VariantName": "AllTraffic"}


def test_the_share_of_errors(alarms: dict[str, dict[str, Any]]) -> None:
    alarm = alarms["errors"]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (2, "GreaterThanThreshold")
    queries = {query["Id"]: query for query in alarm["Metrics"]}
    (expression,) = [query["Expression"] for query in queries.values() if "Expression" in query]
    assert expression == "IF(errors >= 3, 100 * errors / requests, 0)"
    for name, metric in (("errors", "Invocation5XXErrors"), ("requests", "Invocations")):
        stat = queries[name]["MetricStat"]
        assert (stat["Metric"]["MetricName"], stat["Stat"], stat["Period"]) == (metric, "Sum", 60)
        assert dimensions(stat["Metric"]) == VARIANT
        assert queries[name]["ReturnData"] is False


def test_the_slowest_of_a_hundred(alarms: dict[str, dict[str, Any]]) -> None:
    alarm = alarms["latency"]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["ExtendedStatistic"]) == (
        "AWS/SageMaker", "ModelLatency", "p99",
    )  # fmt: skip
    assert alarm["Threshold"] == 750_000, "the metric is in microseconds"
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (3, 2)
    assert dimensions(alarm) == VARIANT


def test_the_share_of_unknown_photos_is_what_the_container_writes(alarms: dict[str, dict[str, Any]]) -> None:
    alarm = alarms["unknown"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (contract.SERVING_NAMESPACE, contract.UNKNOWN_SHARE)
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Maximum", 40)
    assert dimensions(alarm) == {contract.ENDPOINT_DIMENSION: "whippet-dev"}


def test_an_endpoint_that_nobody_asks_is_well(alarms: dict[str, dict[str, Any]]) -> None:
    assert {alarm["TreatMissingData"] for alarm in alarms.values()} == {"notBreaching"}
    assert not any("AlarmActions" in alarm for alarm in alarms.values()), "CloudWatch may not use the topic's key"


def test_people_are_told(template: Template) -> None:
    """Also where no other alarm is wanted (`monitoring.alarms`)."""
    handler = template.function("tell_alarm")
    assert handler["Environment"]["Variables"]["NAME_PREFIX"] == "whippet-dev"
    allowed = [
        action
        for name, statement in template.statements()
        if name.startswith("MonitoringAlarmMessages")
        for action in listed(statement["Action"])
        if not action.startswith("logs:")
    ]
    assert allowed == ["sns:Publish"]


def test_a_serverless_endpoint_has_none_and_nobody_to_tell_of_them(synthesise: Callable[..., Template]) -> None:
    serverless = synthesise(**{"serving.mode": "serverless"})
    assert not serverless.of_type("AWS::CloudWatch::Alarm")
    assert not [name for name in serverless.resources if name.startswith("MonitoringAlarmMessages")]
