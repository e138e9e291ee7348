"""Waiting for the API: what is asked again, how long, and what is said meanwhile."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from cli import retries
from cli.retries import LONGEST_WAIT, ask_until_answered

ANSWERED: Any = SimpleNamespace(status=200, headers={}, data=b"{}")
WAKING = "The model sleeps while nobody asks, and starts now; try again in 20 seconds."


def refusal(status: int, detail: str, retry_after: str | None) -> Any:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return SimpleNamespace(status=status, headers=headers, data=json.dumps({"detail": detail}).encode())


class Conversation:
    """Answers that come one after the other, the last one again and again; what was said and waited for."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked = 0
        self.said: list[str] = []
        self.pauses: list[float] = []

    def send(self) -> Any:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def hold(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> tuple[Conversation, Any]:
    talk = Conversation(*answers)
    monkeypatch.setattr("time.sleep", talk.pauses.append)
    return talk, ask_until_answered(talk.send, say=talk.said.append)


def test_a_waking_model_and_an_endpoint_being_made_are_waited_for_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A-74."""
    waking, made = refusal(503, WAKING, "20"), refusal(503, "The endpoint is being created; try again.", "60")
    talk, response = hold(monkeypatch, waking, made, ANSWERED)
    assert response is ANSWERED
    assert talk.pauses == [20, 60]
    assert talk.said == [
        "The model sleeps while nobody asks, and starts now; asking again in 20 s",
        "The endpoint is being created; asking again in 60 s",
    ]


@pytest.mark.parametrize("retry_after", [None, "", "-1", "soon", "1e9"])
def test_without_a_time_to_come_back_nobody_waits(monkeypatch: pytest.MonkeyPatch, retry_after: str | None) -> None:
    refused = refusal(503, "No model has been released yet", retry_after)
    talk, response = hold(monkeypatch, refused)
    assert (response, talk.asked, talk.pauses, talk.said) == (refused, 1, [], [])


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    talk, response = hold(monkeypatch, refusal(503, WAKING, "20"))
    assert response.status == 503
    assert LONGEST_WAIT - 20 < sum(talk.pauses) <= LONGEST_WAIT


def test_what_always_fails_is_not_waited_for_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    talk, response = hold(monkeypatch, refusal(504, "The model took too long; try again", "5"))
    assert (response.status, talk.asked, talk.pauses) == (504, 3, [5, 5])


def test_a_slow_answer_is_said_while_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_SLOW_AFTER", 0.01)
    said: list[str] = []
    told = threading.Event()

    def send() -> Any:
        assert told.wait(60), "nothing was said while the answer was outstanding"
        return ANSWERED

    def say(sentence: str) -> None:
        said.append(sentence)
        told.set()

    assert ask_until_answered(send, say=say) is ANSWERED
    assert said == ["no answer for 0.01 s; the API answers after 29 s at the latest"]
