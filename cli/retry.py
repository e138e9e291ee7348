"""`whippet retry`: a new run that goes on where an earlier one failed, with what that one had completed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli import CliError
from cli.run import find_execution

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["retry_input"]


def retry_input(target: Target, run: str) -> str:
    """Return the input of an execution that goes on with a run: that run's own input, and `retry_of`.

    Raises:
        CliError: there is no such run, or it goes on, or it released its model.
    """
    execution = find_execution(target, run)
    if execution["status"] == "RUNNING":
        raise CliError(f"run {run} is still going on: stop it first, with `whippet stop-run {run}`, or let it end")
    if execution["status"] == "SUCCEEDED":
        raise CliError(
            f"run {run} released its model, so there is nothing to try again: `whippet run` starts a new run"
        )
    described = target.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])
    given: dict[str, Any] = json.loads(described["input"])
    return json.dumps({**given, "retry_of": run})
