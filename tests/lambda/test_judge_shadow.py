"""JudgeShadow decides by the limits of the alarms, and says when it saw too little."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from judge_shadow import handler as judge_shadow

from tests.fakes.lambda_context import Context

BEGUN = datetime(2026, 11, 29, 21, 0, 12, 300_000, tzinfo=UTC)
UNTIL = BEGUN + timedelta(minutes=30)


class Metrics:
    """CloudWatch's statistics of the whole time, by metric; what is None was never measured."""

    def __init__(self, **values: float | None) -> None:
        self.values = values
        self.asked: list[dict[str, Any]] = []
        # the stub holds the parameters against CloudWatch's own model
        self.client = boto3.client("cloudwatch", region_name="eu-west-1")
        self.stubber = Stubber(self.client)

    def get_metric_statistics(self, **request: Any) -> Any:
        self.asked.append(request)
        value = self.values.get(request["MetricName"])
        point: dict[str, Any] = {"Timestamp": BEGUN}
        if "ExtendedStatistics" in request:
            point["ExtendedStatistics"] = {request["ExtendedStatistics"][0]: value}
        else:
            point[request["Statistics"][0]] = value
        answer = {"Label": "", "Datapoints": [] if value is None else [point]}
        self.stubber.add_response("get_metric_statistics", answer)
        with self.stubber:
            return self.client.get_metric_statistics(**request)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "ENDPOINT_NAME": "whippet-dev",
        "FEWEST_REQUESTS": "100",
        "MAX_ERROR_SHARE": "0.05",
        "MAX_LATENCY_MS": "2000",
        "MAX_UNKNOWN_SHARE": "0.5",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)


def verdict(monkeypatch: pytest.MonkeyPatch, context: Context, metrics: Metrics) -> tuple[str, str]:
    monkeypatch.setattr(judge_shadow, "cloudwatch", metrics)
    answer = judge_shadow.handler(
        {"begun": BEGUN.isoformat(), "until": UNTIL.isoformat()},
        context,  # type: ignore[arg-type]
    )
    return answer["outcome"], answer["said"]


WELL = {"Invocations": 1204.0, "Invocation5XXErrors": 1.0, "ModelLatency": 180_000.0, "UnknownShare": 20.0}


@pytest.mark.parametrize(
    ("values", "outcome", "says"),
    [
        ({}, "passed", "copy of 1,204 requests: 1 failed, and 99 % of the answers took 180 ms or less"),
        ({"UnknownShare": None, "ModelLatency": None}, "passed", "1 failed"),
        ({"Invocation5XXErrors": 120.0}, "failed", "120 of them with 5xx: 10.0%, and release.max_error_share"),
        ({"Invocation5XXErrors": 60.0}, "passed", "60 failed"),  # just below 5 %
        ({"ModelLatency": 2_500_000.0}, "failed", "slowest 1 % took longer than 2,500 ms"),
        ({"UnknownShare": 80.0}, "failed", "took 80 % of the photos for unknown"),
        ({"ModelLatency": 2_500_000.0, "UnknownShare": 80.0}, "failed", "2,500 ms, and release.max_latency_ms allows"),
        ({"Invocations": 99.0}, "too few", "release.shadow_requests asks for 100"),
        ({"Invocations": None, "Invocation5XXErrors": None}, "too few", "copy of 0 requests"),
        ({"Invocations": 9.0, "Invocation5XXErrors": 3.0}, "failed", "3 of them with 5xx"),  # few, and clear
        ({"Invocations": 9.0, "Invocation5XXErrors": 2.0}, "too few", "copy of 9 requests"),
    ],
)
def test_the_verdict(
    monkeypatch: pytest.MonkeyPatch, context: Context, values: dict[str, float | None], outcome: str, says: str
) -> None:
    found, said = verdict(monkeypatch, context, Metrics(**{**WELL, **values}))
    assert found == outcome, said
    assert says in said


def test_an_empty_limit_refuses_nothing(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    for name in ("MAX_ERROR_SHARE", "MAX_LATENCY_MS"):
        monkeypatch.setenv(name, "")
    bad = Metrics(**{**WELL, "Invocation5XXErrors": 1204.0, "ModelLatency": 9e9})
    assert verdict(monkeypatch, context, bad)[0] == "passed"


def test_it_asks_for_the_shadow_alone_and_for_its_time(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    metrics = Metrics(**WELL)
    verdict(monkeypatch, context, metrics)
    by_metric = {request["MetricName"]: request for request in metrics.asked}
    assert by_metric["Invocations"]["Dimensions"] == [
        {"Name": "EndpointName", "Value": "whippet-dev"},
        {"Name": "VariantName", "Value": "Shadow"},
    ]
    assert by_metric["UnknownShare"]["Dimensions"] == [{"Name": "EndpointName", "Value": "whippet-dev-shadow"}]
    for request in metrics.asked:
        assert request["StartTime"] <= BEGUN
        assert request["Period"] % 60 == 0
        assert request["StartTime"] + timedelta(seconds=request["Period"]) == request["EndTime"]
        assert UNTIL <= request["EndTime"] < UNTIL + timedelta(minutes=2)
