"""Pause: an endpoint that nobody asks is deleted, what serves or is about to be changed is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pause import handler as pause

import contract
from contract import NOTHING_SLEEPS
from tests.fakes.autoscaling import PLAN, FakeAutoscaling
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error
from tests.fakes.ssm import FakeParameter

NOW = datetime(2099, 11, 29, 12, tzinfo=UTC)
"""The event's time, later than the machine's, as on a local cloud whose clock runs fast."""
HOURS = 12
SERVED = "whippet-dev-run-1"


class Account:
    """An endpoint that has served for days, its metrics, and the executions of the state machine."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.status: str | None = "InService"
        self.changed = NOW - timedelta(days=3)
        self.variants = ["AllTraffic"]
        self.serverless = False
        self.requests: dict[str, list[tuple[datetime, float]]] = {}
        self.asked: list[dict[str, Any]] = []
        self.running: list[str] = []
        self.refusal: Exception | None = None

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if self.status is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        return {
            "EndpointName": EndpointName,
            "EndpointStatus": self.status,
            "EndpointConfigName": SERVED,
            "LastModifiedTime": self.changed,
            "ProductionVariants": [
                {"VariantName": name}
                | ({"CurrentServerlessConfig": {"MemorySizeInMB": 3072}} if self.serverless else {})
                for name in self.variants
            ],
        }

    def list_executions(self, *, stateMachineArn: str, statusFilter: str, maxResults: int) -> dict[str, Any]:  # noqa: N803
        assert (stateMachineArn, statusFilter) == ("arn:machine", "RUNNING")
        return {"executions": [{"name": name} for name in self.running][:maxResults]}

    def get_metric_statistics(self, **asked: Any) -> dict[str, Any]:
        assert (asked["Namespace"], asked["MetricName"], asked["Statistics"]) == (
            "AWS/SageMaker",
            "Invocations",
            ["Sum"],
        )
        self.asked.append(asked)
        dimensions = {item["Name"]: item["Value"] for item in asked["Dimensions"]}
        assert dimensions["EndpointName"] == "whippet-dev"
        points = self.requests.get(dimensions["VariantName"], [])
        inside = [(at, count) for at, count in points if asked["StartTime"] <= at < asked["EndTime"]]
        return {"Datapoints": [{"Timestamp": at, "Sum": count} for at, count in inside]}

    def delete_endpoint(self, *, EndpointName: str) -> None:  # noqa: N803
        if self.refusal:
            raise self.refusal
        self.calls.append(f"delete {EndpointName}")


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    fake = Account()
    for client in ("sagemaker", "states", "cloudwatch"):
        monkeypatch.setattr(pause, client, fake)
    monkeypatch.setenv("STATE_MACHINE_ARN", "arn:machine")
    monkeypatch.setenv("PAUSE_AFTER_HOURS", str(HOURS))
    monkeypatch.setenv("SCALING", "")
    return fake


@pytest.fixture(autouse=True)
def autoscaling(account: Account, monkeypatch: pytest.MonkeyPatch) -> FakeAutoscaling:
    fake = FakeAutoscaling(account.calls)
    monkeypatch.setattr(pause, "autoscaling", fake)
    return fake


@pytest.fixture
def record(account: Account, monkeypatch: pytest.MonkeyPatch) -> FakeParameter:
    return FakeParameter(calls=account.calls).serve(monkeypatch)


@pytest.fixture
def look(record: FakeParameter, context: Context) -> Callable[[], pause.Decision]:
    """Have the function look at the endpoint."""
    event: pause.ScheduledEvent = {"time": NOW.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return lambda: pause.handler(event, context)  # type: ignore[arg-type]


Look = Callable[[], pause.Decision]


def test_an_idle_endpoint_is_recorded_and_then_deleted(account: Account, look: Look) -> None:
    """CloudWatch has no datapoint where nobody asked. Without the record, nobody could bring the model back."""
    assert look()["paused"]
    assert account.calls == [f"record {SERVED}", "delete whippet-dev"]


def test_requests_of_long_ago_keep_nothing_awake(account: Account, look: Look) -> None:
    account.requests = {"AllTraffic": [(NOW - timedelta(hours=HOURS, minutes=5), 7.0)]}
    assert look()["paused"]


@pytest.mark.parametrize("ago", [timedelta(minutes=1), timedelta(hours=HOURS) - timedelta(minutes=1)])
def test_one_request_within_the_hours_keeps_the_endpoint(account: Account, look: Look, ago: timedelta) -> None:
    account.requests = {"AllTraffic": [(NOW - ago, 1.0)]}
    assert look() == {"paused": False, "why": "requests in this time: 1"}
    assert account.calls == []


def test_every_variant_counts(account: Account, look: Look) -> None:
    account.variants.append("Shadow")
    account.requests = {"Shadow": [(NOW - timedelta(hours=1), 1.0)]}
    assert not look()["paused"]


@pytest.mark.parametrize(
    "status", ["Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting", "Failed", None]
)
def test_only_an_endpoint_in_service_is_paused(account: Account, look: Look, status: str | None) -> None:
    account.status = status
    assert not look()["paused"]
    assert account.calls == []


def test_an_endpoint_that_failed_to_wake_makes_way_for_the_next_request(
    account: Account, record: FakeParameter, look: Look
) -> None:
    account.status, record.value = "Failed", SERVED
    assert look() == {"paused": False, "why": "the endpoint had failed, and was deleted"}
    assert account.calls == ["delete whippet-dev"]
    assert record.value == SERVED, "it sleeps on"


def test_an_endpoint_that_failed_is_left_to_a_run(account: Account, record: FakeParameter, look: Look) -> None:
    account.status, record.value, account.running = "Failed", SERVED, ["run-2"]
    look()
    assert account.calls == []


def test_a_serverless_endpoint_of_an_earlier_setting_is_left_alone(account: Account, look: Look) -> None:
    account.serverless = True
    assert not look()["paused"]
    assert account.calls == []


def test_a_new_endpoint_gets_its_hours(account: Account, look: Look) -> None:
    account.changed = NOW - timedelta(hours=HOURS) + timedelta(minutes=1)
    assert not look()["paused"]
    assert account.calls == []


def test_a_run_that_may_be_about_to_release_is_waited_for(account: Account, look: Look) -> None:
    account.running = ["run-2"]
    assert not look()["paused"]
    assert account.calls == []


@pytest.mark.parametrize(
    "refusal", ['Cannot update in-progress endpoint "whippet-dev".', 'Could not find endpoint "whippet-dev".']
)
def test_an_endpoint_that_somebody_changes_meanwhile_is_left_to_them(
    account: Account, look: Look, refusal: str
) -> None:
    account.refusal = client_error("ValidationException", refusal)
    assert not look()["paused"]


def test_a_deletion_that_is_not_allowed_fails_the_function(account: Account, look: Look) -> None:
    account.refusal = client_error("AccessDeniedException", "no")
    with pytest.raises(type(account.refusal)):
        look()


def test_an_endpoint_that_is_awake_has_nothing_that_sleeps(account: Account, record: FakeParameter, look: Look) -> None:
    """A model that was woken, or released while another slept."""
    record.value, record.modified = "whippet-dev-run-0", NOW - timedelta(hours=2)
    account.changed = NOW - timedelta(hours=1)
    assert not look()["paused"]
    assert record.value == NOTHING_SLEEPS


def test_a_record_that_was_just_written_is_kept(account: Account, record: FakeParameter, look: Look) -> None:
    """Another invocation of the function may delete the endpoint in this moment."""
    record.value, record.modified = SERVED, NOW
    account.requests = {"AllTraffic": [(NOW - timedelta(hours=1), 1.0)]}
    assert not look()["paused"]
    assert record.value == SERVED


@pytest.mark.parametrize("hours", [1, 24, 25, 720])
def test_cloudwatch_answers_the_whole_time_at_once(
    account: Account, look: Look, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """GetMetricStatistics returns at most 1,440 datapoints, and after 15 days only periods of 5 minutes or more."""
    monkeypatch.setenv("PAUSE_AFTER_HOURS", str(hours))
    account.changed = NOW - timedelta(days=60)
    look()
    (asked,) = account.asked
    period = asked["Period"]
    assert asked["EndTime"] - asked["StartTime"] == timedelta(hours=hours)
    assert hours * 3600 / period <= 1440
    assert period % 300 == 0


def test_a_late_event_counts_what_has_happened_since(account: Account, record: FakeParameter, context: Context) -> None:
    now = datetime.now(UTC)
    account.changed = now - timedelta(days=3)
    account.requests = {"AllTraffic": [(now - timedelta(minutes=2), 1.0)]}
    late: pause.ScheduledEvent = {"time": (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    assert not pause.handler(late, context)["paused"]  # type: ignore[arg-type]


def test_what_sleeps_scales_no_more(account: Account, autoscaling: FakeAutoscaling, look: Look) -> None:
    autoscaling.register_scalable_target(**contract.scalable_range(PLAN))
    account.calls.clear()
    assert look()["paused"]
    assert account.calls == [f"record {SERVED}", "delete whippet-dev", "scale no more"]


def test_an_endpoint_that_has_woken_scales_again(
    account: Account, autoscaling: FakeAutoscaling, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALING", json.dumps(PLAN))
    account.changed = NOW - timedelta(minutes=5)
    look()
    assert account.calls == ["scale 1 to 4"]
    assert autoscaling.policy == contract.scaling_policy(PLAN)
    look()
    assert account.calls == ["scale 1 to 4"], "what scales is left alone"


def test_a_run_begins_the_scaling_itself(account: Account, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALING", json.dumps(PLAN))
    account.changed, account.running = NOW - timedelta(minutes=5), ["run-2"]
    look()
    assert account.calls == []


@pytest.mark.parametrize("status", ["Creating", "Updating", None])
def test_only_an_endpoint_in_service_begins_to_scale(
    account: Account, look: Look, status: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALING", json.dumps(PLAN))
    account.status = status
    look()
    assert account.calls == []


def test_scaling_that_cannot_begin_keeps_nothing_awake(
    account: Account, autoscaling: FakeAutoscaling, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALING", json.dumps(PLAN))
    autoscaling.refusal = client_error("AccessDeniedException", "not authorized")
    assert look()["paused"]
    assert account.calls == [f"record {SERVED}", "delete whippet-dev"]
