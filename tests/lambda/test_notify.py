from __future__ import annotations

import json
from typing import Any, cast

import pytest
from notify import handler as notify
from notify.run_message import compose
from shared.plain_cause import plain_cause
from shared.run_advice import ADVICE

from contract import EndInput, RunDocument, RunOutcome
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error
from tests.fakes.topic import FakeTopic
from tests.infra import fake_run
from tests.infra.asl_walker import EXECUTION

STARTED = "2026-11-30T15:02:57.000Z"


def document(**members: Any) -> RunDocument:
    """The state machine's data with these members."""
    return cast(RunDocument, {"overrides": {}, "execution": "run-1", "started": STARTED, "failure": {}} | members)


def good_run(**more: Any) -> RunDocument:
    smoke_test = {"endpoint": "whippet-dev", "photo": "cat/1.jpg", "truth": "cat", "predicted": "cat", "score": 0.93}
    verdict = fake_run.verdict(reasons=["It reaches the floor."])
    return document(plan=fake_run.plan(), verdict=verdict, smoke_test=smoke_test, **more)


def told(
    monkeypatch: pytest.MonkeyPatch, context: Context, run: RunDocument, topic: FakeTopic | None = None
) -> tuple[RunOutcome, FakeTopic]:
    topic = topic or FakeTopic()
    monkeypatch.setattr(notify, "sns", topic)
    event: EndInput = {"run": run, "execution": EXECUTION, "state_machine": "arn"}
    return notify.handler(event, context), topic  # type: ignore[arg-type]


def test_a_good_run_tells_its_accuracy(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    outcome, topic = told(monkeypatch, context, good_run())
    assert outcome == {"status": "succeeded", "error": "", "cause": "", "report": ""}
    (message,) = topic.published
    assert "run-1" in message["Subject"]
    assert "0.9000 on 10 photos" in message["Message"]
    assert "It reaches the floor." in message["Message"]
    assert EXECUTION in message["Message"]


def test_before_there_is_a_plan_the_run_has_the_name_that_commands_take(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    failure = {"CheckDataset": {"Error": "InvalidInput", "Cause": "unknown key in the input: epoch"}}
    run = document(execution="83984718-a40e-4a96-b6bd-089e09c409b6", failure=failure)
    _, topic = told(monkeypatch, context, run)
    assert topic.published[0]["Subject"] == "whippet: run 83984718-a4 failed in CheckDataset"


def test_a_failed_job_tells_state_reason_advice_and_link(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    cause = json.dumps({"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: out of memory"})
    run = document(plan=fake_run.plan(), failure={"Train": {"Error": "States.TaskFailed", "Cause": cause}})
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
    run = document(failure={"CheckDataset": {"Error": "BadDataset", "Cause": cause}})
    outcome, topic = told(monkeypatch, context, run)
    assert outcome["cause"] == "CheckDataset: there are no photos"
    assert ADVICE["BadDataset"] in topic.published[0]["Message"]


def test_the_first_failure_leads_and_a_failed_rollback_is_told_after_it() -> None:
    failure = {
        "SmokeTest": {"Error": "SmokeTestFailed", "Cause": "wrong shape"},
        "RestoreEndpoint": {"Error": "SageMaker.AmazonSageMakerException", "Cause": "denied"},
    }
    message = compose(document(failure=failure), execution=EXECUTION)
    assert message.error == "SmokeTestFailed"
    assert "wrong shape Then RestoreEndpoint failed, too: denied" in message.cause


def test_what_could_not_be_retired_is_mentioned() -> None:
    run = good_run(retired={"Error": "ClientError", "Cause": '{"errorMessage": "denied"}'})
    message = compose(run, execution=EXECUTION)
    assert message.status == "succeeded"
    assert "could not be deleted: denied" in message.text


def test_a_message_that_cannot_be_sent_does_not_change_the_outcome(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    run = document(failure={"Tune": {"Error": "States.Timeout", "Cause": ""}})
    outcome, _ = told(monkeypatch, context, run, FakeTopic(client_error("NotFound", "no topic")))
    assert outcome["error"] == "States.Timeout"
    assert "no topic" in outcome["cause"]


def test_causes_and_subjects_stay_within_the_services_limits(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    run = document(execution="ü" * 300, failure={"Train": {"Error": "E", "Cause": "x" * 100_000}})
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


def test_a_rejected_model_is_told_with_the_rule_the_step_and_the_value(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    reason = "Overfit found an issue at step 40: ratio 0.31 > 0.1. (Setting debugger.block.)"
    run = document(plan=fake_run.plan(), failure={"ModelRejected": {"Error": "ModelRejected", "Cause": reason}})
    outcome, topic = told(monkeypatch, context, run)
    assert (outcome["error"], outcome["cause"]) == ("ModelRejected", reason)
    (message,) = topic.published
    assert message["Subject"] == "whippet: run run-1 rejected its model"
    assert reason in message["Message"]
    assert "The model in service was left alone." in message["Message"]


def test_a_model_that_too_few_photos_tell_of_is_not_called_rejected(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    failure = {"TooFewTestPhotos": {"Error": "TooFewTestPhotos", "Cause": "Too few test photos to tell: 18."}}
    _, topic = told(monkeypatch, context, document(plan=fake_run.plan(), failure=failure))
    (message,) = topic.published
    assert message["Subject"] == "whippet: run run-1 has too few test photos to decide on its model"
    assert "neither a pass nor a rejection" in message["Message"]
    assert "reject" not in message["Message"].replace("neither a pass nor a rejection", "")


@pytest.mark.parametrize("failed", [False, True])
def test_every_message_leads_to_the_report(monkeypatch: pytest.MonkeyPatch, context: Context, failed: bool) -> None:
    failure = {"Train": {"Error": "States.Timeout", "Cause": ""}} if failed else {}
    outcome, topic = told(monkeypatch, context, good_run(failure=failure, report=fake_run.REPORT))
    assert outcome["report"] == fake_run.REPORT["uri"]
    (message,) = topic.published
    assert fake_run.REPORT["uri"] in message["Message"]
    assert fake_run.REPORT["console"] in message["Message"]


def test_a_report_that_could_not_be_written_is_mentioned(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    report = {"Error": "KeyError", "Cause": '{"errorMessage": "no echarts"}'}
    outcome, topic = told(monkeypatch, context, good_run(report=report))
    assert (outcome["status"], outcome["report"]) == ("succeeded", "")
    assert "The report could not be written: no echarts" in topic.published[0]["Message"]
