"""Reading an execution: what a user is shown while it moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from cli import main
from cli.errors import CliError
from cli.joblogs import PROCESSING_LOG_GROUP, TRAINING_LOG_GROUP, JobLogs, run_lines
from cli.run import Outcome, start, watch
from tests.cli.stack import FakeStack
from tests.fakes.s3 import client_error


class Logs:
    """CloudWatch Logs with one stream that grows, served two events a page."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def describe_log_streams(self, **_: Any) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": "job/algo-1-1"}] if self.lines else []}

    def get_log_events(self, *, nextToken: str = "0", **_: Any) -> dict[str, Any]:  # noqa: N803
        begin = int(nextToken)
        events = [{"message": f"{line}\n"} for line in self.lines[begin : begin + 2]]
        return {"events": events, "nextForwardToken": str(begin + len(events))}


def _read(log: JobLogs) -> list[str]:
    lines: Iterator[str] = log.new_lines()
    return list(lines)


def test_a_log_is_read_once_however_often_it_is_looked_at() -> None:
    logs = Logs()
    log = JobLogs(logs, "job")
    assert _read(log) == []
    logs.lines = ["a", "b", "c"]
    assert _read(log) == ["a", "b", "c"]
    assert _read(log) == []
    logs.lines.append("d")
    assert _read(log) == ["d"]


class Target:
    def client(self, _: str) -> Any:
        raise AssertionError("nothing may be started")

    def output(self, _: str) -> str:
        raise AssertionError("nothing may be started")


@pytest.mark.parametrize("overrides", ["{", "[]", '"epochs"'])
def test_an_input_that_is_no_json_object_is_refused_before_anything_starts(overrides: str) -> None:
    with pytest.raises(CliError, match=r"--input is .*give for example"):
        start(Target(), overrides=overrides)  # type: ignore[arg-type]


class GroupedLogs(Logs):
    """Lines by log group and job."""

    def __init__(self, jobs: dict[tuple[str, str], list[str]]) -> None:
        super().__init__()
        self.jobs = jobs

    def describe_log_streams(self, **parameters: Any) -> dict[str, Any]:
        group, job = parameters["logGroupName"], parameters["logStreamNamePrefix"].rstrip("/")
        if not any(known == group for known, _ in self.jobs):
            raise client_error("ResourceNotFoundException", "The specified log group does not exist.")
        self.lines = self.jobs.get((group, job), [])
        return super().describe_log_streams()


class Execution:
    """Step Functions with one execution that has ended."""

    def __init__(self, states: list[tuple[str, str]], **described: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.described = described
        begin = datetime(2026, 11, 25, tzinfo=UTC)
        for kind, name in states:
            at = begin + timedelta(seconds=len(self.events))
            self.events.append(
                {"type": f"TaskState{kind}", "timestamp": at, f"state{kind}EventDetails": {"name": name}}
            )
            self.events[-1]["id"] = len(self.events)

    def describe_execution(self, **_: str) -> dict[str, Any]:
        return self.described

    def get_paginator(self, _: str) -> Execution:
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        yield {"events": self.events}


def watched(states: list[tuple[str, str]], logs: Logs | None = None, **described: Any) -> tuple[Outcome, str]:
    """An execution's outcome, and what was printed on the way."""
    stack: Any = FakeStack(stepfunctions=Execution(states, **described), logs=logs or Logs())
    console = Console(record=True, width=200)
    outcome = watch(stack, execution="arn:aws:states:eu-west-1:1:execution:m:run-7", console=console)
    return outcome, console.export_text()


def test_the_rules_job_is_shown_line_by_line_from_the_log_of_processing_jobs() -> None:
    logs = GroupedLogs(
        {
            (TRAINING_LOG_GROUP, "whippet-dev-run-7-train"): ["loading", "epoch 1/1: loss=0.5"],
            (PROCESSING_LOG_GROUP, "whippet-dev-run-7-rules"): ["Overfit: NoIssuesFound", "AllZero: NoIssuesFound"],
        }
    )
    states = [("Entered", "TrainManaged"), ("Exited", "TrainManaged"), ("Entered", "Rules"), ("Exited", "Rules")]
    outcome, printed = watched(states, logs, status="SUCCEEDED", output='{"endpoint": "e"}')
    assert outcome == Outcome(run="run-7", succeeded=True, output={"endpoint": "e"}, error="SUCCEEDED", cause="")
    lines = [line.strip() for line in printed.splitlines()]
    assert lines.index("epoch 1/1: loss=0.5") < lines.index("Overfit: NoIssuesFound") < lines.index("Rules 1 s")
    assert "AllZero: NoIssuesFound" in lines
    assert "loading" not in lines


def test_a_model_that_waits_for_approval_says_how_to_answer() -> None:
    _, printed = watched([("Entered", "AskApproval")], status="FAILED", error="ApprovalTimedOut")
    assert "whippet approve run-7 --reject" in printed


def test_a_state_that_looks_again_and_again_is_told_once() -> None:
    states = [("Entered", "DescribeRules"), ("Exited", "DescribeRules")] * 5
    _, printed = watched(states, status="SUCCEEDED", output="{}")
    assert printed.count("DescribeRules") == 1


class Jobs:
    def get_paginator(self, name: str) -> Jobs:
        assert name == "list_training_jobs"
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        yield {"TrainingJobSummaries": [{"TrainingJobName": "whippet-dev-run-7-train"}]}


def test_the_logs_of_a_run_end_with_its_rules() -> None:
    train, rules = "whippet-dev-run-7-train", "whippet-dev-run-7-rules"
    logs = GroupedLogs({(TRAINING_LOG_GROUP, train): ["a", "b"], (PROCESSING_LOG_GROUP, rules): ["c"]})
    stack: Any = FakeStack(logs=logs, sagemaker=Jobs())
    assert list(run_lines(stack, run="run-7")) == [(train, "a"), (train, "b"), (rules, "c")]


def test_a_run_without_rules_has_logs_too() -> None:
    train = "whippet-dev-run-7-train"
    stack: Any = FakeStack(logs=GroupedLogs({(TRAINING_LOG_GROUP, train): ["a"]}), sagemaker=Jobs())
    assert list(run_lines(stack, run="run-7")) == [(train, "a")]


@pytest.fixture
def rejected(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What `whippet run` prints on a stack where the run's model is rejected."""

    def run(stack: FakeStack) -> Any:
        outcome = Outcome(run="run-7", succeeded=False, output={}, error="ModelRejected", cause="Overfit at step 90")
        monkeypatch.setattr(main, "find_target", lambda **_: stack)
        monkeypatch.setattr(main, "start", lambda *_, **__: "arn")
        monkeypatch.setattr(main, "watch", lambda *_, **__: outcome)
        monkeypatch.setattr("sys.argv", ["whippet", "run"])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert ended.value.code == 1
        return capsys.readouterr()

    return run


def test_how_a_run_ended_is_told_to_those_who_may_not_see_its_report(rejected: Any) -> None:
    class Closed:
        def head_object(self, **_: str) -> None:
            raise client_error("403", "Forbidden", status=403)

    printed = rejected(FakeStack(s3=Closed()))
    assert "the report could not be looked for: " in printed.err
    assert "Forbidden" in printed.err
    assert "the model was rejected: Overfit at step 90" in printed.err


def test_a_rejected_run_still_shows_its_report(rejected: Any) -> None:
    printed = rejected(FakeStack({"runs/run-7/report.html": b"page"}))
    assert "s3://data/runs/run-7/report.html" in printed.out
    assert "the model was rejected: Overfit at step 90" in printed.err
