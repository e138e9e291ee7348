"""Answering a run that waits for approval."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from cli import CliError
from cli.approve import answer, plan_answer
from infra.settings import Settings
from tests.cli.stack import RUN, FakeStack, FakeStepFunctions, question


def answers(stack: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = stack.client("stepfunctions").answers
    return found


def test_a_yes_lets_the_state_machine_go_on() -> None:
    stack: Any = FakeStack(question())
    answer(stack, run=RUN, rejection=None)
    (given,) = answers(stack)
    assert given["taskToken"] == "the token"
    assert json.loads(given["output"]) == {"approved": True}


def test_a_no_ends_the_run_as_rejected_with_the_reason_given() -> None:
    stack: Any = FakeStack(question())
    answer(stack, run=RUN, rejection="too many shirts")
    assert answers(stack) == [{"taskToken": "the token", "error": "ModelRejected", "cause": "too many shirts"}]


def test_a_no_without_a_reason_is_asked_for_one_and_changes_nothing() -> None:
    stack: Any = FakeStack(question())
    with pytest.raises(CliError, match="needs a reason"):
        answer(stack, run=RUN, rejection=" ")
    assert answers(stack) == []


def test_a_run_that_asked_nothing_is_named_with_the_setting() -> None:
    stack: Any = FakeStack()
    with pytest.raises(CliError, match=rf"{RUN} asked for no approval.*release\.approval is manual"):
        answer(stack, run=RUN, rejection=None)


def test_a_second_answer_is_told_that_there_was_a_first() -> None:
    stack: Any = FakeStack(question())
    answer(stack, run=RUN, rejection=None)
    with pytest.raises(CliError, match="answered or stopped"):
        answer(stack, run=RUN, rejection="changed my mind")
    assert len(answers(stack)) == 1


def test_an_answer_after_the_time_is_told_when_it_was_up() -> None:
    gone = FakeStepFunctions(error="TaskDoesNotExist")
    stack: Any = FakeStack(question(expires_at="2026-11-01T10:30:00+00:00"), stepfunctions=gone)
    with pytest.raises(CliError, match=r"until 2026-11-01 10:30 UTC.*whippet run"):
        answer(stack, run=RUN, rejection=None)


def test_any_other_refusal_is_not_taken_for_an_answer() -> None:
    stack: Any = FakeStack(question(), stepfunctions=FakeStepFunctions(error="AccessDeniedException"))
    with pytest.raises(ClientError, match="AccessDenied"):
        answer(stack, run=RUN, rejection=None)


def planned(stack: Any, *, rejection: str | None = None) -> str:
    console = Console(width=1000)
    with console.capture() as said:
        plan_answer(stack, run=RUN, rejection=rejection, console=console)
    assert answers(stack) == []
    return said.get()


def test_a_plan_says_what_a_yes_would_cost_and_answers_nothing() -> None:
    stack: Any = FakeStack(question())
    stack.settings = Settings.model_validate({"serving": {"mode": "realtime"}})
    told = planned(stack)
    assert f"`whippet approve {RUN}` lets the run go on" in told
    assert "while an endpoint changes, both fleets stand: at most about 0." in told
    assert "the endpoint: a released one is one ml.m5.large at 0.115, 83.95 a month" in told
    assert told.endswith("--plan: nothing was done\n")

    stack.settings = Settings.model_validate({"serving": {"mode": "serverless"}})
    assert "serverless, nothing while nobody asks" in planned(stack)
    assert "both fleets" not in planned(stack)


def test_a_plan_of_a_no_costs_nothing() -> None:
    told = planned(FakeStack(question()), rejection="too many shirts")
    assert "ends the run: its model is rejected, the one in service stays, at no cost" in told
    assert "a month" not in told


def test_there_is_no_plan_for_a_run_that_does_not_wait() -> None:
    stack: Any = FakeStack(question())
    answer(stack, run=RUN, rejection=None)
    with pytest.raises(CliError, match="answered or stopped"):
        plan_answer(stack, run=RUN, rejection=None, console=Console())
