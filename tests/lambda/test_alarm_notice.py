"""AlarmNotice tells of an alarm that goes off and of one that is over, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from alarm_notice import handler as alarm_notice

from tests.fakes.lambda_context import Context


class Topic:
    def __init__(self) -> None:
        self.published: list[dict[str, str]] = []

    def publish(self, **message: str) -> None:
        self.published.append(message)


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    topic = Topic()
    monkeypatch.setattr(alarm_notice, "sns", topic)
    monkeypatch.setenv("TOPIC_ARN", "arn:topic")
    return topic


def change(state: str, before: str) -> Any:
    return {
        "time": "2026-11-29T21:00:00Z",
        "detail": {
            "alarmName": "whippet-dev-endpoint-errors",
            "state": {"value": state, "reason": "Threshold Crossed: 12 > 5."},
            "previousState": {"value": before},
            "configuration": {"description": "More than 5.0% of the requests failed."},
        },
    }


@pytest.mark.parametrize("before", ["OK", "INSUFFICIENT_DATA"])
def test_an_alarm_that_goes_off(topic: Topic, context: Context, before: str) -> None:
    alarm_notice.handler(change("ALARM", before), context)  # type: ignore[arg-type]
    (message,) = topic.published
    assert message["TopicArn"] == "arn:topic"
    assert message["Subject"] == "whippet: the alarm whippet-dev-endpoint-errors went off"
    for part in ("More than 5.0% of the requests failed.", "Threshold Crossed: 12 > 5.", "whippet rollback"):
        assert part in message["Message"]


def test_an_alarm_that_is_over(topic: Topic, context: Context) -> None:
    alarm_notice.handler(change("OK", "ALARM"), context)  # type: ignore[arg-type]
    assert topic.published[0]["Subject"] == "whippet: the alarm whippet-dev-endpoint-errors is over"


def test_a_first_look_at_an_alarm_is_no_news(topic: Topic, context: Context) -> None:
    alarm_notice.handler(change("OK", "INSUFFICIENT_DATA"), context)  # type: ignore[arg-type]
    assert topic.published == []
