"""A person's answer to the question whether a model may go into service."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cli.errors import CliError
from contract import Artefact
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["answer"]

MAX_CAUSE = 32_768
"""SendTaskFailure's limit, in characters."""
_GONE = ("TaskDoesNotExist", "TaskTimedOut", "InvalidToken")
"""What Step Functions says of a token that nothing waits for any more."""


def answer(target: Target, *, run: str, rejection: str | None) -> None:
    """Let the run's model go into service, or with a reason keep it out; the state machine goes on at once.

    Raises:
        CliError: the run asked nothing, was answered already or is not waiting any more.
    """
    if rejection is not None and not rejection.strip():
        raise CliError('--reject wants a reason, which becomes the cause of the run\'s end: give --reject "why"')
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
        if error.response["Error"]["Code"] not in _GONE:
            raise
        raise CliError(_why_not(run, question)) from None


def _question(target: Target, run: str) -> dict[str, Any]:
    bucket, key = target.output(StackOutput.DATA_BUCKET), f"runs/{run}/{Artefact.APPROVAL}"
    try:
        body = target.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
            raise
        raise CliError(
            f"run {run} asked for no approval: it does so after its verdict where the setting release.approval is "
            "manual; `whippet status` lists the runs"
        ) from None
    question: dict[str, Any] = json.loads(body)
    return question


def _why_not(run: str, question: dict[str, Any]) -> str:
    expires = datetime.fromisoformat(question["expires_at"])
    if datetime.now(UTC) >= expires:
        return (
            f"run {run} waited for an answer until {expires:%Y-%m-%d %H:%M} UTC and was rejected then: start a new one "
            "with `whippet run` (setting release.approval_hours says how long one waits)"
        )
    return f"run {run} does not wait for an answer any more: it was answered or stopped; see `whippet status`"
