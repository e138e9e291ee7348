"""What was left to do after a run that did not reach its own end: `Artefact.TIDIED`."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

from contract.jobs import Artefact
from contract.names import RUNS_PREFIX

__all__ = ["STACK_DESTROYED", "STOPPED_BY_COMMAND", "EndStatus", "TidiedRun", "tidied_key"]

STACK_DESTROYED: Final = "StackDestroyed"
"""The error with which the clean-up at destroy stops executions: it removes everything by itself."""

STOPPED_BY_COMMAND: Final = "StoppedByCommand"
"""The error with which `whippet stop-run` stops an execution."""

EndStatus = Literal["ABORTED", "FAILED", "TIMED_OUT"]
"""How an execution ends that does not succeed (Step Functions API, DescribeExecution)."""


class TidiedRun(TypedDict):
    """The content of `Artefact.TIDIED`."""

    run: str
    execution: str
    """The execution's ARN."""
    status: EndStatus
    state: str
    """The state that the run was in; empty where it had not begun."""
    error: str
    """The error that StopExecution was given, or Step Functions' own."""
    cause: str
    done: list[str]
    """What was stopped, taken back, rejected and deleted: a sentence each, without a full stop."""


def tidied_key(run: str) -> str:
    """Return the key of the record of a run that was tidied up."""
    return f"{RUNS_PREFIX}{run}/{Artefact.TIDIED.value}"
