"""Requests whose answer gets lost: the SDK makes them again, and each is still carried out once."""

from __future__ import annotations

import json
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError, ResponseStreamingError

import contract
from cli import CliError
from cli.approve import answer
from cli.aws_errors import is_gone, read_object
from cli.release_lock import hold_release_lock
from cli.run import start
from tests.cli.released import ReleasedStack, ServingSageMaker
from tests.cli.stack import RUN, FakeStack, FakeStepFunctions, question
from tests.fakes.s3 import FakeS3


def refused(code: str, message: str = "", *, attempts: int = 1) -> ClientError:
    """What AWS says to a request that has been made again so many times."""
    answered: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"RetryAttempts": attempts}}
    return ClientError(answered, "Operation")


class CutShort(FakeS3):
    """S3 whose connection ends within an object's body, some times."""

    def __init__(self, times: int, error: Exception) -> None:
        super().__init__({"a": b"content"})
        self.times, self.error, self.asked = times, error, 0

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self.asked += 1
        found = super().get_object(Bucket=Bucket, Key=Key)
        return {**found, "Body": Broken(self.error)} if self.asked <= self.times else found


class Broken:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self) -> bytes:
        raise self.error


CUTS = [ResponseStreamingError(error="IncompleteRead"), urllib3.exceptions.ProtocolError("Response ended prematurely")]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.aws_errors.time.sleep", lambda _seconds: None)


@pytest.mark.parametrize("error", CUTS, ids=lambda error: type(error).__name__)
def test_an_object_whose_body_ends_early_is_read_again(error: Exception) -> None:
    s3 = CutShort(3, error)
    assert read_object(s3, bucket="data", key="a") == b"content"
    assert s3.asked == 4


def test_an_object_that_always_ends_early_is_an_error() -> None:
    s3 = CutShort(99, CUTS[0])
    with pytest.raises(ResponseStreamingError):
        read_object(s3, bucket="data", key="a")
    assert s3.asked == 4


class Ended(FakeStepFunctions):
    """Its execution has ended by the time of the second request."""

    def __init__(self, attempts: int) -> None:
        super().__init__()
        self.attempts = attempts

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:  # noqa: N803, A002
        super().start_execution(stateMachineArn=stateMachineArn, name=name, input=input)
        raise refused("ExecutionAlreadyExists", attempts=self.attempts)


class Machine(FakeStack):
    def output(self, name: Any) -> str:
        return "arn:aws:states:eu-west-1:123456789012:stateMachine:m"


def test_a_run_that_the_first_request_started_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cli.stack.FakeStepFunctions.start_execution", lambda *_, **__: {})
    execution = start(Machine(stepfunctions=Ended(1)), overrides="{}")  # type: ignore[arg-type]
    assert execution.startswith("arn:aws:states:eu-west-1:123456789012:execution:m:")
    with pytest.raises(ClientError):
        start(Machine(stepfunctions=Ended(0)), overrides="{}")  # type: ignore[arg-type]


class Answered(FakeStepFunctions):
    """A run that goes on with an answer, and whose token nobody waits for any more."""

    def __init__(self, event: dict[str, Any], *, attempts: int = 1) -> None:
        super().__init__()
        self.event, self.attempts = event, attempts

    def list_executions(self, **options: Any) -> dict[str, Any]:
        listed = super().list_executions(**options)
        return {"executions": [each | {"executionArn": "arn:execution"} for each in listed["executions"]]}

    def send_task_success(self, **_: str) -> None:
        raise refused("TaskTimedOut", attempts=self.attempts)

    send_task_failure = send_task_success

    def get_execution_history(self, **_: Any) -> dict[str, Any]:
        return {"events": [{"type": "TaskStateExited"}, self.event]}


APPROVED = {"taskSucceededEventDetails": {"resource": "invoke.waitForTaskToken", "output": '{"approved": true}'}}
REJECTED = {"taskFailedEventDetails": {"resource": "invoke.waitForTaskToken", "cause": "too dark"}}


@pytest.mark.parametrize(("event", "rejection"), [(APPROVED, None), (REJECTED, "too dark")], ids=["yes", "no"])
def test_an_answer_that_the_first_request_brought_counts(event: dict[str, Any], rejection: str | None) -> None:
    answer(FakeStack(question(), stepfunctions=Answered(event)), run=RUN, rejection=rejection)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "rejection"), [(REJECTED, None), (APPROVED, "too dark"), (REJECTED, "other")], ids=["yes", "no", "why"]
)
def test_another_persons_answer_does_not(event: dict[str, Any], rejection: str | None) -> None:
    with pytest.raises(CliError, match="answered or stopped"):
        answer(FakeStack(question(), stepfunctions=Answered(event)), run=RUN, rejection=rejection)  # type: ignore[arg-type]


def test_a_late_answer_that_was_sent_once_is_late_whatever_the_run_did() -> None:
    with pytest.raises(CliError, match="answered or stopped"):
        answer(FakeStack(question(), stepfunctions=Answered(APPROVED, attempts=0)), run=RUN, rejection=None)  # type: ignore[arg-type]


class Lossy(FakeS3):
    """S3 that carries each conditional write out twice, as where the first one's answer got lost."""

    def put_object(self, **request: Any) -> dict[str, Any]:
        written = super().put_object(**request)
        if request.keys() & {"IfNoneMatch", "IfMatch"}:
            super().put_object(**request)
        return written


def test_a_lock_that_was_taken_by_a_write_without_an_answer_is_held_and_given_back() -> None:
    s3 = Lossy()
    stack = ReleasedStack(ServingSageMaker("c-1"), {}, s3=s3)
    key = contract.release_lock_key("whippet-dev")
    with hold_release_lock(stack, run="b-1", by="somebody"):  # type: ignore[arg-type]
        assert "somebody" in json.loads(s3.objects[key])["holder"]
    assert json.loads(s3.objects[key])["holder"] == contract.NO_HOLDER


def test_a_lock_of_somebody_else_stays_theirs() -> None:
    s3 = Lossy()
    stack = ReleasedStack(ServingSageMaker("c-1"), {}, s3=s3)
    key = contract.release_lock_key("whippet-dev")
    with hold_release_lock(stack, run="b-1", by="somebody"):  # type: ignore[arg-type]
        before = s3.objects[key]
        with pytest.raises(CliError, match="somebody"), hold_release_lock(stack, run="a-1", by="another"):  # type: ignore[arg-type]
            pass
        assert s3.objects[key] == before


@pytest.mark.parametrize(
    ("code", "message", "gone"),
    [
        ("NoSuchEntity", "", True),
        ("ResourceNotFoundException", "", True),
        ("ValidationException", 'Could not find model "m".', True),
        ("ValidationException", "Cannot delete a model in use", False),
        ("AccessDenied", "", False),
    ],
)
def test_what_says_that_a_thing_is_gone(code: str, message: str, gone: bool) -> None:
    assert is_gone(refused(code, message)) is gone
