"""RecordRelease writes which model came into service; a lost answer writes it once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from record_release import handler as record_release

from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3
from tests.infra.fake_run import verdict

EVENT: dict[str, Any] = {
    "at": "2026-11-28T22:00:00.123Z",
    "kind": "released",
    "config": "whippet-dev-run-2",
    "replaced": "whippet-dev-run-1",
    "execution": "arn:execution",
    "overrides": {},
    "why": "Good.",
    "verdict": verdict(),
}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    fake = FakeS3()
    monkeypatch.setattr(record_release, "s3", fake)
    return fake


def written(bucket: FakeS3, context: Context, **changes: Any) -> tuple[str, dict[str, Any]]:
    event: Any = {**EVENT, **changes}
    answer = record_release.handler(event, context)  # type: ignore[arg-type]
    return answer["key"], json.loads(bucket.objects[answer["key"]])


@pytest.mark.parametrize(("given", "earlier"), [({"retry_of": "run-0"}, "run-0"), ({"Comment": "x"}, None), ([], None)])
def test_the_run_that_was_gone_on_with_is_recorded(
    bucket: FakeS3, context: Context, given: Any, earlier: str | None
) -> None:
    assert written(bucket, context, overrides=given)[1].get("retry_of") == earlier


def test_a_release_is_recorded_with_its_numbers(bucket: FakeS3, context: Context) -> None:
    key, record = written(bucket, context)
    assert key == "releases/20261128T220000.123000Z_released_run-2_run-1.json"
    assert record == {
        "at": "2026-11-28T22:00:00.123000+00:00",
        "kind": "released",
        "run": "run-2",
        "replaced": "run-1",
        "by": "arn:execution",
        "why": "Good.",
        "test_accuracy": 0.9,
        "test_images": 10,
        "test_accuracy_interval": {"low": 0.6, "high": 0.98, "level": 0.95},
    }


def test_a_second_attempt_writes_the_same_object(bucket: FakeS3, context: Context) -> None:
    assert written(bucket, context) == written(bucket, context)
    assert len(bucket.objects) == 1


def test_a_failed_smoke_test_is_told_in_plain_words_and_without_the_numbers_of_what_failed(
    bucket: FakeS3, context: Context
) -> None:
    cause = json.dumps({"errorMessage": "the endpoint refused every photo", "errorType": "SmokeTestFailed"})
    key, record = written(bucket, context, kind="failed", config="", replaced="whippet-dev-run-2", why=cause)
    assert key.endswith("_failed_none_run-2.json")
    assert (record["run"], record["why"]) == ("", "the endpoint refused every photo")
    assert "test_accuracy" not in record
