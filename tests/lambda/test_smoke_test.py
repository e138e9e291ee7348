from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from smoke_test import handler as smoke_test

from contract import SmokeTestInput, SmokeTestResult
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3, client_error

BEST = [{"label": "dog", "score": 0.75}, {"label": "cat", "score": 0.25}]
GOOD = {"label": "dog", "score": 0.75, "known": True, "distance": 0.5, "predictions": BEST}
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


def run(
    monkeypatch: pytest.MonkeyPatch, context: Context, *answers: Any, more: int = 0
) -> tuple[SmokeTestResult, FakeRuntime]:
    """Test a model on one test photo of a dog, and on `more` further ones of cats and dogs."""
    records = [
        {"path": "cat/1.jpg", "label": 0, "split": "train", "etag": "a"},
        {"path": "dog/2.jpg", "label": 1, "split": "test", "etag": "b"},
        *({"path": f"cat/{n}.jpg", "label": 0, "split": "test", "etag": "c"} for n in range(more)),
        *({"path": f"dog/{n}.jpg", "label": 1, "split": "test", "etag": "d"} for n in range(100, 100 + more)),
    ]
    summary = {"prefix": "dataset/", "classes": [{"name": "cat"}, {"name": "dog"}]}
    s3 = FakeS3(
        {
            "runs/run-1/manifest/dataset.json": json.dumps(summary).encode(),
            "runs/run-1/manifest/manifest.jsonl": "\n".join(map(json.dumps, records)).encode(),
            "dataset/dog/2.jpg": b"a dog",
            **{f"dataset/{record['path']}": str(record["path"]).encode() for record in records[2:]},
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
        (BEST, 'no "predictions"'),
        ({**GOOD, "predictions": {"label": "dog"}}, 'no "predictions"'),
        ({**GOOD, "predictions": []}, 'no "predictions"'),
        ({**GOOD, "predictions": [{"label": "dog"}]}, 'no "predictions"'),
        ({**GOOD, "predictions": [{"label": "dog", "score": float("nan")}]}, 'no "predictions"'),
        ({**GOOD, "predictions": [{"label": "owl", "score": 0.9}]}, "does not have: owl"),
        ({**GOOD, "predictions": BEST[::-1]}, "falling"),
        ({**GOOD, "predictions": [BEST[0], {"label": "cat", "score": 0.75}]}, "falling"),
        ({**GOOD, "predictions": [{"label": "cat", "score": -0.1}]}, "falling"),
        ({**GOOD, "known": False}, '"known"'),
        ({**GOOD, "distance": 1.5}, '"known"'),
        ({**GOOD, "distance": float("nan")}, '"known"'),
        ({**GOOD, "distance": -1}, '"known"'),
        ({**GOOD, "distance": None}, '"known"'),
        ({**GOOD, "known": None}, '"known"'),
        ({**GOOD, "known": "true"}, '"known"'),
        ({"label": "dog", "score": 0.75, "predictions": BEST}, '"known"'),
    ],
)
def test_wrong_answers_fail(monkeypatch: pytest.MonkeyPatch, context: Context, answer: Any, words: str) -> None:
    with pytest.raises(smoke_test.SmokeTestFailed, match=words):
        run(monkeypatch, context, answer)


@pytest.mark.parametrize(
    "odd",
    [
        {"known": None, "distance": None},
        {"label": None, "known": False, "distance": 1.5, "reason": "unlike the others"},
        {"known": True, "distance": 1},
    ],
    ids=["of an earlier model", "unknown", "just known"],
)
def test_a_test_photo_may_be_unknown(monkeypatch: pytest.MonkeyPatch, context: Context, odd: dict[str, Any]) -> None:
    answer, _ = run(monkeypatch, context, {**GOOD, **odd})
    assert (answer["predicted"], answer["score"]) == ("dog", 0.75)


def refusal() -> Exception:
    """As SageMaker hands on a container's 400."""
    error = client_error("ModelError", "the image is damaged or incomplete")
    error.response["OriginalStatusCode"] = 400  # type: ignore[typeddict-unknown-key]
    return error


def test_a_photo_that_the_endpoint_refuses_gives_way_to_the_next(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    """One damaged photo at the front of the test split kept every model of a data set out of service (A-07)."""
    answer, runtime = run(monkeypatch, context, refusal(), refusal(), GOOD, more=3)
    assert answer["photo"] == "cat/1.jpg"
    assert runtime.bodies == [b"cat/0.jpg", b"a dog", b"cat/1.jpg"], "of each class in turn"


def test_an_endpoint_that_refuses_every_photo_fails_after_ten(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    with pytest.raises(smoke_test.SmokeTestFailed, match=r"refused every test photo that was sent; cat/0\.jpg: "):
        run(monkeypatch, context, *[refusal() for _ in range(20)], more=20)


@pytest.mark.parametrize("error", [ConnectTimeoutError, EndpointConnectionError])
def test_a_lost_packet_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, context: Context, error: type[Exception]
) -> None:
    answer, _ = run(monkeypatch, context, error(endpoint_url="https://runtime"), GOOD)  # type: ignore[call-arg]
    assert answer["predicted"] == "dog"


def test_all_attempts_fit_into_the_functions_time() -> None:
    config: Any = smoke_test.runtime.meta.config
    longest = smoke_test.ATTEMPTS * (config.connect_timeout + config.read_timeout + smoke_test.PAUSE_SECONDS)
    assert longest < 5 * 60


def test_attempts_are_counted_over_all_photos(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """The function's time is one for all of them."""
    late = ReadTimeoutError(endpoint_url="https://runtime")
    with pytest.raises(smoke_test.SmokeTestFailed, match="did not classify a test photo"):
        run(monkeypatch, context, late, refusal(), late, refusal(), late, late, late, GOOD, more=5)
