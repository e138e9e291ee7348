from __future__ import annotations

import json
from typing import Any

import notify
import pytest
from plain_cause import plain_cause
from run_message import ADVICE, compose

from tests.infra import fake_run
from tests.infra.asl_walker import EXECUTION
from tests.unit.lambdas.conftest import Context
from tests.unit.lambdas.fake_s3 import client_error


class FakeTopic:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.published: list[dict[str, str]] = []

    def publish(self, **message: str) -> None:
        if self.error:
            raise self.error
        self.published.append(message)


def good_run() -> dict[str, Any]:
    return {
        "execution": "run-1",
        "failure": {},
        "plan": fake_run.plan(),
        "verdict": {"test_accuracy": 0.9, "test_images": 10, "reasons": ["It reaches the floor."]},
        "smoke_test": {"photo": "cat/1.jpg", "truth": "cat", "predicted": "cat", "score": 0.93},
    }


def told(monkeypatch: pytest.MonkeyPatch, context: Context, run: dict[str, Any]) -> tuple[dict[str, str], FakeTopic]:
    topic = FakeTopic()
    monkeypatch.setattr(notify, "sns", topic)
    return notify.handler({"run": run, "execution": EXECUTION, "state_machine": "arn"}, context), topic  # type: ignore[arg-type]


def test_a_good_run_tells_its_accuracy(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    outcome, topic = told(monkeypatch, context, good_run())
    assert outcome == {"status": "succeeded", "error": "", "cause": ""}
    (message,) = topic.published
    assert "run-1" in message["Subject"]
    assert "0.9000 on 10 photos" in message["Message"]
    assert "It reaches the floor." in message["Message"]
    assert EXECUTION in message["Message"]


def test_a_failed_job_tells_state_reason_advice_and_link(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    cause = json.dumps({"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: out of memory"})
    run = {
        "execution": "run-1",
        "plan": fake_run.plan(),
        "failure": {"Train": {"Error": "States.TaskFailed", "Cause": cause}},
    }
    outcome, topic = told(monkeypatch, context, run)
    assert outcome["status"] == "failed"
    assert outcome["error"] == "States.TaskFailed"
    assert outcome["cause"] == "Train: AlgorithmError: out of memory"
    text = topic.published[0]["Message"]
    assert "failed in Train" in text
    assert "AlgorithmError: out of memory" in text
    assert "/aws/sagemaker/TrainingJobs" in text
    assert "console.aws.amazon.com" in text


def test_a_failure_before_the_plan_is_told_too(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    cause = json.dumps({"errorMessage": "there are no photos", "errorType": "BadDataset", "stackTrace": ["x"]})
    run = {"execution": "run-1", "failure": {"CheckDataset": {"Error": "BadDataset", "Cause": cause}}}
    outcome, topic = told(monkeypatch, context, run)
    assert outcome["cause"] == "CheckDataset: there are no photos"
    assert ADVICE["BadDataset"] in topic.published[0]["Message"]


def test_the_first_failure_leads_and_a_failed_rollback_is_told_after_it() -> None:
    failure = {
        "SmokeTest": {"Error": "SmokeTestFailed", "Cause": "wrong shape"},
        "RestoreEndpoint": {"Error": "SageMaker.AmazonSageMakerException", "Cause": "denied"},
    }
    message = compose({"execution": "run-1", "failure": failure}, execution=EXECUTION)
    assert message.error == "SmokeTestFailed"
    assert "wrong shape Then RestoreEndpoint failed, too: denied" in message.cause


def test_what_could_not_be_retired_is_mentioned() -> None:
    run = good_run() | {"retired": {"Error": "ClientError", "Cause": '{"errorMessage": "denied"}'}}
    message = compose(run, execution=EXECUTION)
    assert message.status == "succeeded"
    assert "could not be deleted: denied" in message.text


def test_a_message_that_cannot_be_sent_does_not_change_the_outcome(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    monkeypatch.setattr(notify, "sns", FakeTopic(client_error("NotFound", "no topic")))
    run = {"execution": "run-1", "failure": {"Tune": {"Error": "States.Timeout", "Cause": ""}}}
    outcome = notify.handler({"run": run, "execution": EXECUTION}, context)  # type: ignore[arg-type]
    assert outcome["error"] == "States.Timeout"
    assert "no topic" in outcome["cause"]


def test_causes_and_subjects_stay_within_the_services_limits(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    run = {"execution": "ü" * 300, "failure": {"Train": {"Error": "E", "Cause": "x" * 100_000}}}
    outcome, topic = told(monkeypatch, context, run)
    assert len(outcome["cause"]) <= notify.MAX_CAUSE
    assert len(topic.published[0]["Subject"]) <= 100
    assert topic.published[0]["Subject"].isascii()
    assert len(topic.published[0]["Message"].encode()) <= 262_144


@pytest.mark.parametrize(
    ("cause", "plain"),
    [
        ("", "no reason was given"),
        ("plain words", "plain words"),
        ('{"FailureReason": "disk full"}', "disk full"),
        ('{"errorMessage": "{\\"FailureReason\\": \\"nested\\"}"}', "nested"),
        ('{"TrainingJobStatus": "Stopped"}', "the job ended with status Stopped"),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_plain_words_are_found_in_a_cause(cause: str, plain: str) -> None:
    assert plain_cause(cause) == plain
