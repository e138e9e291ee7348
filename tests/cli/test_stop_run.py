"""`whippet stop-run`: which run it stops, and what it says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import contract
from cli import CliError
from cli.stop_run import stop_run
from cli.terminal import new_console
from tests.cli.released import IDENTITY
from tests.cli.stack import EXECUTION, RUN, STARTED, FakeStack
from tests.fakes.s3 import FakeS3

OTHER = "9ab1c2d3-e4f5-6789-abcd-ef0123456789"


class Running:
    """Step Functions with executions that go on; the tidy-up writes its record when one is stopped."""

    def __init__(self, s3: FakeS3, *names: str) -> None:
        self.s3, self.names = s3, names
        self.stopped: list[dict[str, str]] = []
        self.status = "ABORTED"
        self.done = [f"the job whippet-dev-{RUN} was stopped"]
        self.tidies = True

    def list_executions(self, **_: Any) -> dict[str, Any]:
        return {"executions": [{"executionArn": f"arn:{n}", "name": n, "startDate": STARTED} for n in self.names]}

    def stop_execution(self, **request: str) -> None:
        self.stopped.append(request)
        if self.tidies:
            body = json.dumps({"run": RUN, "done": self.done}).encode()
            self.s3.put_object(Bucket="data", Key=contract.tidied_key(RUN), Body=body)

    def describe_execution(self, **_: str) -> dict[str, str]:
        return {"status": self.status}


class Sts:
    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": IDENTITY}


Stop = Callable[..., tuple[Running, str]]


@pytest.fixture
def stop(capsys: pytest.CaptureFixture[str]) -> Stop:
    def stopped(*names: str, run: str | None = None, reason: str = "", **changes: Any) -> tuple[Running, str]:
        stack = FakeStack(sts=Sts())
        running = Running(stack.client("s3"), *names)
        for name, value in changes.items():
            setattr(running, name, value)
        stack.clients["stepfunctions"] = running
        stop_run(stack, run, reason=reason, confirm=lambda question: None, console=new_console())  # type: ignore[arg-type]
        return running, capsys.readouterr().out

    return stopped


def test_the_only_run_is_stopped_and_what_was_ended_is_told(stop: Stop) -> None:
    running, said = stop(EXECUTION, reason="wrong  photos")
    (request,) = running.stopped
    assert request["executionArn"] == f"arn:{EXECUTION}"
    assert request["error"] == contract.STOPPED_BY_COMMAND
    assert request["cause"] == f"Stopped by {IDENTITY}: wrong photos"
    assert f"the job whippet-dev-{RUN} was stopped" in said


def test_a_run_that_left_nothing_is_told(stop: Stop) -> None:
    assert "a job that it waited for was stopped with it" in stop(EXECUTION, done=[])[1]


def test_a_run_is_named_where_several_go_on(stop: Stop) -> None:
    running, _ = stop(OTHER, EXECUTION, run=RUN)
    assert [request["executionArn"] for request in running.stopped] == [f"arn:{EXECUTION}"]


@pytest.mark.parametrize(
    ("names", "run", "words"),
    [
        ((OTHER, EXECUTION), None, f"several runs are going on on this machine: name one.*9ab1c2d3-e4, {RUN}"),
        ((), None, "no run is going on on this machine"),
        ((OTHER,), RUN, f"run {RUN} is not going on on this machine: these are: 9ab1c2d3-e4"),
        ((), RUN, f"run {RUN} is not going on on this machine: no run is"),
    ],
)
def test_what_cannot_be_stopped_is_said(stop: Stop, names: tuple[str, ...], run: str | None, words: str) -> None:
    with pytest.raises(CliError, match=words):
        stop(*names, run=run)


def test_a_run_that_had_ended_by_itself_is_not_waited_for(stop: Stop) -> None:
    assert "had ended by itself: SUCCEEDED" in stop(EXECUTION, status="SUCCEEDED", tidies=False)[1]


def test_the_wait_for_the_tidy_up_ends(stop: Stop, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(0, 100_000, 100))
    monkeypatch.setattr("time.monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(CliError, match=r"still being tidied up after 20 minutes.*TidyUp"):
        stop(EXECUTION, tidies=False)
