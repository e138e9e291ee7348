"""The message about an alarm: what it means and what to do; and which changes nobody is told of."""

from __future__ import annotations

from typing import Any

import pytest
from tell_alarm import handler as tell_alarm

from contract import ALARMS, Alarm, alarm_name
from tests.fakes.lambda_context import Context
from tests.fakes.topic import FakeTopic

ARN = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{}"


def told(
    monkeypatch: pytest.MonkeyPatch, context: Context, name: str, state: str, *, before: str = "OK", **detail: Any
) -> list[dict[str, str]]:
    """What is published about a change, in the form of EventBridge's event."""
    topic = FakeTopic()
    monkeypatch.setattr(tell_alarm, "sns", topic)
    change = {
        "alarmName": name,
        "state": {"value": state, "reason": "Threshold Crossed: 3 datapoints were greater than 0.05."},
        "previousState": {"value": before},
        **detail,
    }
    event: Any = {"resources": [ARN.format(name)], "detail": change}
    tell_alarm.handler(event, context)  # type: ignore[arg-type]
    return topic.published


@pytest.mark.parametrize("alarm", [alarm for alarm in Alarm if ALARMS[alarm].is_told])
def test_an_alarm_is_told_with_its_meaning_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, context: Context, alarm: Alarm
) -> None:
    name = alarm_name("whippet-dev", alarm)
    (message,) = told(monkeypatch, context, name, "ALARM")
    assert message["Subject"] == f"whippet: ALARM whippet-dev-{alarm}"
    text = message["Message"]
    assert text.startswith(f"{name}: {ALARMS[alarm].meaning}")
    for number, step in enumerate(ALARMS[alarm].steps, start=1):
        assert f"{number}. {step}" in text
    assert "CloudWatch says: Threshold Crossed" in text
    assert f"https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#alarmsV2:alarm/{name}" in text


def test_its_end_is_told_and_its_first_quiet_is_not(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    (message,) = told(monkeypatch, context, "whippet-dev-api-errors", "OK", before="ALARM")
    assert message["Subject"] == "whippet: whippet-dev-api-errors is over"
    assert "1. " not in message["Message"]
    assert told(monkeypatch, context, "whippet-dev-api-errors", "OK", before="INSUFFICIENT_DATA") == []


def test_what_a_run_tells_itself_is_not_told_twice(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    assert told(monkeypatch, context, "whippet-dev-run-failed", "ALARM") == []


def test_an_alarm_that_a_person_made_is_told_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    words = {"description": "The queue before the API is long."}
    (message,) = told(monkeypatch, context, "whippet-dev-my-queue", "ALARM", configuration=words)
    assert message["Message"].startswith("whippet-dev-my-queue: The queue before the API is long.\n")
    (silent,) = told(monkeypatch, context, "whippet-dev-my-other", "ALARM")
    assert silent["Message"].startswith("whippet-dev-my-other\n")
