"""ExplainRollout names the alarm that took a model back, also one that is over, and no other."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from explain_rollout import handler as explain_rollout

from tests.fakes.lambda_context import Context

BEGUN = datetime(2026, 11, 29, 21, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Alarms:
    """CloudWatch's history of alarms: the changes of each by name, the newest first."""

    def __init__(self) -> None:
        self.changes: dict[str, list[tuple[datetime, str]]] = {}
        self.asked: list[dict[str, Any]] = []

    def describe_alarm_history(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        changes = self.changes.get(request["AlarmName"], [])
        return {
            "AlarmHistoryItems": [
                {
                    "Timestamp": moment,
                    "HistoryData": json.dumps({"newState": {"stateValue": state, "stateReason": f"{state} reason."}}),
                }
                for moment, state in changes
            ]
        }


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> Alarms:
    alarms = Alarms()
    monkeypatch.setattr(explain_rollout, "cloudwatch", alarms)
    monkeypatch.setenv("ALARMS", "errors,latency")
    return alarms


def explained(context: Context, **endpoint: str) -> Any:
    described = {"EndpointName": "e", "EndpointConfigName": "old", "EndpointStatus": "InService", **endpoint}
    event: Any = {"endpoint": described, "begun": "2026-11-29T21:00:00.700Z"}
    return explain_rollout.handler(event, context)  # type: ignore[arg-type]


def test_the_alarm_that_went_off_is_named(alarms: Alarms, context: Context) -> None:
    alarms.changes = {"errors": [(BEGUN + MINUTE, "ALARM"), (BEGUN - MINUTE, "OK")], "latency": [(BEGUN, "OK")]}
    answer = explained(context, FailureReason="SageMaker's words.")
    assert answer["error"] == "RolloutRolledBack"
    assert "errors went off" in answer["cause"]
    assert "ALARM reason." in answer["cause"]
    assert "latency" not in answer["cause"]
    assert {request["HistoryItemType"] for request in alarms.asked} == {"StateUpdate"}


@pytest.mark.parametrize(
    "changes",
    [
        [(BEGUN + 2 * MINUTE, "OK"), (BEGUN + MINUTE, "ALARM")],  # over, since nothing goes to the new fleet any more
        [(BEGUN - MINUTE, "ALARM")],  # on before, and since then
        [(BEGUN, "ALARM")],  # within the second in which the rollout began
    ],
)
def test_an_alarm_counts_if_it_was_on_at_any_time(
    alarms: Alarms, context: Context, changes: list[tuple[datetime, str]]
) -> None:
    alarms.changes = {"latency": changes}
    assert explained(context)["error"] == "RolloutRolledBack"


def test_an_alarm_of_long_ago_does_not_count(alarms: Alarms, context: Context) -> None:
    alarms.changes = {"errors": [(BEGUN - MINUTE, "OK"), (BEGUN - 2 * MINUTE, "ALARM")]}
    answer = explained(context, FailureReason="The container did not pass the ping health check.")
    assert answer == {"error": "RolloutFailed", "cause": "The container did not pass the ping health check."}


def test_without_an_alarm_and_without_a_reason(alarms: Alarms, context: Context) -> None:
    answer = explained(context)
    assert answer["error"] == "RolloutFailed"
    assert "it serves old" in answer["cause"]
