"""`whippet retry`: with what input an earlier run is gone on with, and when it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli import CliError
from cli.retry import retry_input
from tests.cli.stack import EXECUTION, RUN, STARTED, FakeStack


class Ended:
    """Step Functions with one execution, on the second page."""

    def __init__(self, status: str, given: str = "{}") -> None:
        self.status, self.given = status, given

    def list_executions(self, *, nextToken: str | None = None, **_: Any) -> dict[str, Any]:  # noqa: N803
        if nextToken is None:
            return {"executions": [], "nextToken": "second"}
        found = {"executionArn": "arn:1", "name": EXECUTION, "startDate": STARTED, "status": self.status}
        return {"executions": [found]}

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:  # noqa: N803
        assert executionArn == "arn:1"
        return {"input": self.given}


@pytest.mark.parametrize("status", ["FAILED", "ABORTED", "TIMED_OUT"])
def test_it_gets_the_input_of_the_run_and_its_name(status: str) -> None:
    stack: Any = FakeStack(stepfunctions=Ended(status, '{"epochs": 7, "retry_of": "earlier"}'))
    assert json.loads(retry_input(stack, RUN)) == {"epochs": 7, "retry_of": RUN}


@pytest.mark.parametrize(
    ("status", "run", "words"),
    [
        ("RUNNING", RUN, f"run {RUN} is still going on.*whippet stop-run {RUN}"),
        ("SUCCEEDED", RUN, f"run {RUN} released its model"),
        ("FAILED", "other", "there is no run other on this machine"),
    ],
)
def test_what_cannot_be_gone_on_with_is_said(status: str, run: str, words: str) -> None:
    stack: Any = FakeStack(stepfunctions=Ended(status))
    with pytest.raises(CliError, match=words):
        retry_input(stack, run)
