from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from smoke_test import handler as smoke_test

from contract import SmokeTestInput, SmokeTestResult
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3, client_error

GOOD = [{"label": "dog", "score": 0.75}, {"label": "cat", "score": 0.25}]
EVENT: SmokeTestInput = {"run": "run-1", "dataset_uri": "s3://data/dataset/"}


class FakeRuntime:
    """Answers one after the other; an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []

    def invoke_endpoint(self, *, Body: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.bodies.append(Body)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"Body": io.BytesIO(answer if isinstance(answer, bytes) else json.dumps(answer).encode())}


def run(monkeypatch: pytest.MonkeyPatch, context: Context, *answers: Any) -> tuple[SmokeTestResult, FakeRuntime]:
    records = [
        {"path": "cat/1.jpg", "label": 0, "split": "train", "etag": "a"},
        {"path": "dog/2.jpg", "label": 1, "split": "test", "etag": "b"},
    ]
    summary = {"prefix": "dataset/", "classes": [{"name": "cat"}, {"name": "dog"}]}
    s3 = FakeS3(
        {
            "runs/run-1/manifest/dataset.json": json.dumps(summary).encode(),
            "runs/run-1/manifest/manifest.jsonl": "\n".join(map(json.dumps, records)).encode(),
            "dataset/dog/2.jpg": b"a dog",
        }
    )
    runtime = FakeRuntime(*answers)
    monkeypatch.setattr(smoke_test, "s3", s3)
    monkeypatch.setattr(smoke_test, "runtime", runtime)
    monkeypatch.setattr(smoke_test, "PAUSE_SECONDS", 0)
    return smoke_test.handler(EVENT, context), runtime  # type: ignore[arg-type]


def test_a_photo_of_the_test_split_is_classified(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    answer, runtime = run(monkeypatch, context, GOOD)
    assert runtime.bodies == [b"a dog"]
    assert answer == {
        "endpoint": "whippet-dev",
        "photo": "dog/2.jpg",
        "truth": "dog",
        "predicted": "dog",
        "score": 0.75,
    }


def test_a_model_that_is_slow_to_start_is_asked_again(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    hiccups = [
        client_error("ModelError", "Received server error (503)", OriginalStatusCode=503),
        ReadTimeoutError(endpoint_url="https://runtime"),
        client_error("ThrottlingException", "slow down"),
    ]
    _, runtime = run(monkeypatch, context, *hiccups, GOOD)
    assert len(runtime.bodies) == 4


def test_it_gives_up_after_some_attempts(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    errors = [client_error("ModelError", "Received server error (500)", OriginalStatusCode=500)] * 9
    with pytest.raises(smoke_test.SmokeTestFailed, match=r"server error \(500\)"):
        run(monkeypatch, context, *errors)


def test_a_refused_photo_is_not_sent_again(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    refused = client_error("ModelError", "Received client error (400): no image", OriginalStatusCode=400)
    with pytest.raises(smoke_test.SmokeTestFailed, match="no image"):
        run(monkeypatch, context, refused)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>", "not JSON"),
        ({"label": "dog"}, "is not a list"),
        ([], "is not a list"),
        ([{"label": "dog"}], "is not a list"),
        ([{"label": "dog", "score": float("nan")}], "is not a list"),
        ([{"label": "owl", "score": 0.9}], "does not have: owl"),
        ([{"label": "cat", "score": 0.1}, {"label": "dog", "score": 0.9}], "falling"),
        ([{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.9}], "falling"),
        ([{"label": "cat", "score": -0.1}], "falling"),
    ],
)
def test_wrong_answers_fail(monkeypatch: pytest.MonkeyPatch, context: Context, answer: Any, words: str) -> None:
    with pytest.raises(smoke_test.SmokeTestFailed, match=words):
        run(monkeypatch, context, answer)
