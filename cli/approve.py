"""`whippet approve`: a person's answer to the question whether a run's model may go into service."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.aws_errors import was_asked_again
from cli.cost import shadow_lines, standing_line
from cli.plans import NOTHING_DONE
from cli.run import find_execution, read_run_file
from contract import Artefact
from infra.cost import fleet

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["answer", "plan_answer"]

MAX_CAUSE = 32_768
"""The longest cause that SendTaskFailure takes, in characters."""
_NOT_WAITING = ("TaskDoesNotExist", "TaskTimedOut", "InvalidToken")
"""Step Functions' errors for a token that no task waits for any more."""


_WAITS = ".waitForTaskToken"
"""What the resource of a task ends with that a person answers."""
_LOOKED_AT = 100
"""Newest events of an execution among which the answer is looked for."""


def answer(target: Target, *, run: str, rejection: str | None) -> None:
    """Release the run's model, or reject it with a reason; the state machine goes on at once.

    Args:
        target: Where the stack is deployed.
        run: The run that waits.
        rejection: Why the model is rejected; None approves it.

    Raises:
        CliError: the run did not ask, or no longer waits for an answer; or the reason is empty.
    """
    if rejection is not None and not rejection.strip():
        raise CliError(
            "--reject needs a reason, which is recorded as the cause of the run's failure: "
            'give for example --reject "too many shirts are taken for blouses"'
        )
    question = _question(target, run)
    stepfunctions = target.client("stepfunctions")
    try:
        if rejection is None:
            stepfunctions.send_task_success(taskToken=question["token"], output=json.dumps({"approved": True}))
        else:
            stepfunctions.send_task_failure(
                taskToken=question["token"], error="ModelRejected", cause=rejection[:MAX_CAUSE]
            )
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NOT_WAITING:
            raise
        # the first attempt of this request may have brought the answer, and what was said to it got lost
        if was_asked_again(error) and _was_taken(target, run, rejection=rejection):
            return
        raise CliError(_why_not(run, question)) from None


def plan_answer(target: Target, *, run: str, rejection: str | None, console: Console) -> None:
    """Say what an answer would set going, and what that costs; the run goes on waiting.

    Raises:
        CliError: the run did not ask, or no longer waits for an answer.
    """
    question = _question(target, run)
    if find_execution(target, run)["status"] != "RUNNING":
        raise CliError(_why_not(run, question))
    lines = [
        f"`whippet approve {run} --reject` ends the run: its model is rejected, the one in service stays, at no cost"
    ]
    if rejection is None:
        settings = target.settings
        machines = fleet(settings)
        usd = contract.change_usd(contract.fleet_usd_an_hour(machines) or 0.0) if machines else 0.0
        lines = [
            f"`whippet approve {run}` lets the run go on: its model is judged beside what then serves and, if it "
            "passes, released",
            *shadow_lines(settings),
            *([f"while an endpoint changes, both fleets stand: at most about {usd:.2f} dollars"] if usd else []),
            f"{standing_line(None, settings)} ({contract.PRICES_NOTE})",
        ]
    for line in [*lines, NOTHING_DONE]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _question(target: Target, run: str) -> dict[str, Any]:
    content = read_run_file(target, run=run, name=Artefact.APPROVAL)
    if content is None:
        raise CliError(
            f"run {run} asked for no approval: a run asks after its verdict if the setting release.approval is manual; "
            "`whippet status` lists the runs"
        )
    question: dict[str, Any] = json.loads(content)
    return question


def _was_taken(target: Target, run: str, *, rejection: str | None) -> bool:
    """Return whether the run's execution went on with this answer."""
    history = target.client("stepfunctions").get_execution_history(
        executionArn=find_execution(target, run)["executionArn"], reverseOrder=True, maxResults=_LOOKED_AT
    )
    for event in history["events"]:
        approved, rejected = event.get("taskSucceededEventDetails"), event.get("taskFailedEventDetails")
        if _WAITS in (approved or rejected or {}).get("resource", ""):
            return rejection is None if approved else rejected["cause"] == (rejection or "")[:MAX_CAUSE]
    return False


def _why_not(run: str, question: dict[str, Any]) -> str:
    expires = datetime.fromisoformat(question["expires_at"])
    if datetime.now(UTC) >= expires:
        return (
            f"run {run} waited for an answer until {expires:%Y-%m-%d %H:%M} UTC, and its model was then rejected: "
            "start another run with `whippet run` (the setting release.approval_hours says how long a run waits)"
        )
    return f"run {run} no longer waits for an answer: it was answered or stopped; `whippet status` shows how it ended"
