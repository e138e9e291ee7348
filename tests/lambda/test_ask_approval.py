"""AskApproval: what people are told, and what their answer needs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ask_approval import handler as ask_approval

from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3, client_error
from tests.fakes.topic import FakeTopic
from tests.infra import fake_run
from tests.infra.asl_walker import EXECUTION

EVENT = {
    "token": "token-1",
    "run": "run-1",
    "execution": EXECUTION,
    "verdict": fake_run.verdict(approval="PendingManualApproval", reasons=["It reaches the floor."]),
    "package": fake_run.PACKAGE,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, context: Context) -> Any:
    """The stored approval and the message."""
    monkeypatch.setenv("APPROVAL_HOURS", "6")
    s3, topic = FakeS3(), FakeTopic()
    monkeypatch.setattr(ask_approval, "s3", s3)
    monkeypatch.setattr(ask_approval, "sns", topic)
    ask_approval.handler(EVENT, context)  # type: ignore[arg-type]
    (message,) = topic.published
    return json.loads(s3.objects["approvals/run-1/approval.json"]), message


def test_the_token_is_kept_with_what_it_is_for(asked: Any) -> None:
    from datetime import datetime, timedelta

    approval, _ = asked
    assert (approval["token"], approval["run"], approval["package"]) == ("token-1", "run-1", fake_run.PACKAGE)
    assert approval["decision"] == EVENT["verdict"]["decision"]  # type: ignore[index]
    waits = datetime.fromisoformat(approval["expires_at"]) - datetime.fromisoformat(approval["asked_at"])
    assert waits == timedelta(hours=6)


def test_the_message_says_what_is_asked_and_how_to_answer(asked: Any) -> None:
    approval, message = asked
    text = message["Message"]
    assert message["Subject"] == "whippet: run run-1 waits for your approval"
    assert "0.9000 on 10 photos" in text
    assert "It reaches the floor." in text
    assert "whippet approve run-1\n" in text
    assert 'whippet approve run-1 --reject "why"' in text
    assert "send-task-success --task-token TOKEN" in text
    assert "send-task-failure --task-token TOKEN --error ModelRejected" in text
    assert "s3://data/approvals/run-1/approval.json" in text
    assert approval["expires_at"] in text
    assert "token-1" not in text, "whoever reads the mail may not answer with it alone"


def test_who_is_asked_is_told_that_the_photos_do_not_tell(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    monkeypatch.setenv("APPROVAL_HOURS", "6")
    topic = FakeTopic()
    monkeypatch.setattr(ask_approval, "s3", FakeS3())
    monkeypatch.setattr(ask_approval, "sns", topic)
    event = EVENT | {"verdict": fake_run.verdict(undecided=True)}
    ask_approval.handler(event, context)  # type: ignore[arg-type]
    (message,) = topic.published
    assert "run run-1 has too few test photos to tell and waits for your approval" in message["Message"]
    assert "passed every check" not in message["Message"]


def test_a_question_that_cannot_be_sent_fails(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    monkeypatch.setenv("APPROVAL_HOURS", "6")
    monkeypatch.setattr(ask_approval, "s3", FakeS3())
    monkeypatch.setattr(ask_approval, "sns", FakeTopic(client_error("NotFound", "no topic")))
    with pytest.raises(Exception, match="no topic"):
        ask_approval.handler(EVENT, context)  # type: ignore[arg-type]
