"""`whippet run`: starting a run, and telling how it ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

import contract
from cli import CliError, main
from cli.commands import runs, shared
from cli.run import newest_run, start
from cli.watch import Outcome
from tests.cli.stack import STARTED, FakeStack, FakeStepFunctions
from tests.fakes.s3 import client_error


def test_the_execution_gets_the_overrides_as_its_input() -> None:
    stack: Any = FakeStack()
    assert start(stack, overrides='{"epochs": 5}') == "arn:execution"
    assert [json.loads(given) for given in stack.client("stepfunctions").inputs] == [{"epochs": 5}]


@pytest.mark.parametrize("overrides", ["{", "[]", '"epochs"'])
def test_an_input_that_is_not_a_json_object_is_refused_before_anything_starts(overrides: str) -> None:
    stack: Any = FakeStack()
    with pytest.raises(CliError, match=r"--input is .*for example --input"):
        start(stack, overrides=overrides)
    assert stack.client("stepfunctions").inputs == []


def test_the_newest_run_is_the_one_that_is_listed_first() -> None:
    stack: Any = FakeStack(stepfunctions=FakeStepFunctions(executions=("run-9", "run-8")))
    assert newest_run(stack) == contract.run_id("run-9", started=STARTED)


def test_before_the_first_run_there_is_no_newest_one() -> None:
    stack: Any = FakeStack(stepfunctions=FakeStepFunctions(executions=()))
    with pytest.raises(CliError, match=r"no run has been started.*`whippet run`"):
        newest_run(stack)


@pytest.fixture
def rejected(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What `whippet run` prints on a stack where the run's model is rejected."""

    def run(stack: FakeStack) -> Any:
        outcome = Outcome(run="run-7", succeeded=False, output={}, error="ModelRejected", cause="Overfit at step 90")
        monkeypatch.setattr(shared, "find_target", lambda **_: stack)
        monkeypatch.setattr(runs, "start", lambda *_, **__: "arn")
        monkeypatch.setattr(runs, "watch", lambda *_, **__: outcome)
        monkeypatch.setattr("sys.argv", ["whippet", "run"])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert ended.value.code == 1
        return capsys.readouterr()

    return run


def test_a_run_whose_report_may_not_be_read_still_tells_how_it_ended(rejected: Any) -> None:
    class Closed:
        def head_object(self, **_: str) -> None:
            raise client_error("403", "Forbidden", status=403)

    printed = rejected(FakeStack(s3=Closed()))
    assert "the report could not be looked for: " in printed.err
    assert "Forbidden" in printed.err
    assert "the model was rejected: Overfit at step 90" in printed.err


def test_a_rejected_run_still_names_its_report(rejected: Any) -> None:
    printed = rejected(FakeStack({"runs/run-7/report.html": b"page"}))
    assert "s3://data/runs/run-7/report.html" in printed.out
    assert "the model was rejected: Overfit at step 90" in printed.err
