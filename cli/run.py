"""Runs of the deployed state machine: start one, find the newest, read what one wrote."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.aws_errors import read_object, was_asked_again
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.target import Target

__all__ = [
    "find_execution",
    "newest_run",
    "read_overrides",
    "read_run_file",
    "run_file",
    "running",
    "running_executions",
    "start",
]


def start(target: Target, *, overrides: str) -> str:
    """Start an execution of the state machine and return its ARN.

    Args:
        target: Where the stack is deployed.
        overrides: The execution's input, a JSON object; `{}` takes everything from the settings.

    Raises:
        CliError: `overrides` is not a JSON object, or the stack is not deployed.
    """
    given = read_overrides(overrides)
    stepfunctions = target.client("stepfunctions")
    arn = target.output(StackOutput.STATE_MACHINE_ARN)

    # the name makes a request that is made again the same run: without one, a lost answer would start a second
    name = str(uuid.uuid4())
    try:
        started = stepfunctions.start_execution(stateMachineArn=arn, name=name, input=json.dumps(given))
    except ClientError as error:
        # it has ended by the time of the second attempt
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists" or not was_asked_again(error):
            raise
        return f"{arn.replace(':stateMachine:', ':execution:')}:{name}"
    return str(started["executionArn"])


def read_overrides(text: str) -> dict[str, Any]:
    """Return the input of an execution.

    Raises:
        CliError: it is not a JSON object.
    """
    example = "give an object with the values to override, for example --input '{\"epochs\": 5}'"
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise CliError(f"--input is not valid JSON ({error}): {example}") from None
    if not isinstance(given, dict):
        raise CliError(f"--input is {text}, which is not a JSON object: {example}")
    return given


def newest_run(target: Target) -> str:
    """Return the run that was started last.

    Raises:
        CliError: no run has been started yet, or the stack is not deployed.
    """
    machine = target.output(StackOutput.STATE_MACHINE_ARN)
    executions = target.client("stepfunctions").list_executions(stateMachineArn=machine, maxResults=1)["executions"]
    if not executions:
        raise CliError(f"no run has been started {target.place} yet: start one with `whippet run`")
    return contract.run_id(executions[0]["name"], started=executions[0]["startDate"])


def running(target: Target) -> list[str]:
    """Return the runs that are going on, the newest first.

    Raises:
        CliError: the stack is not deployed.
    """
    return [contract.run_id(one["name"], started=one["startDate"]) for one in running_executions(target)]


def running_executions(target: Target) -> Iterator[dict[str, Any]]:
    """Yield the executions that are going on, the newest first, as ListExecutions describes them.

    Raises:
        CliError: the stack is not deployed.
    """
    asked = {"stateMachineArn": target.output(StackOutput.STATE_MACHINE_ARN), "statusFilter": "RUNNING"}
    while True:
        page = target.client("stepfunctions").list_executions(**asked)
        yield from page["executions"]
        if not page.get("nextToken"):
            return
        asked["nextToken"] = page["nextToken"]


def find_execution(target: Target, run: str) -> dict[str, Any]:
    """Return the execution of a run, as ListExecutions describes it.

    Raises:
        CliError: Step Functions has none.
    """
    asked = {"stateMachineArn": target.output(StackOutput.STATE_MACHINE_ARN)}
    while True:
        page = target.client("stepfunctions").list_executions(**asked)
        for execution in page["executions"]:
            if contract.run_id(execution["name"], started=execution["startDate"]) == run:
                found: dict[str, Any] = execution
                return found
        if not page.get("nextToken"):
            raise CliError(
                f"there is no run {run} {target.place}, or it ended more than 90 days ago: `whippet status` lists the "
                "newest runs"
            )
        asked["nextToken"] = page["nextToken"]


def run_file(target: Target, *, run: str, name: str) -> tuple[str, str]:
    """Return the bucket and the key of a file that a run writes, whether it is there or not."""
    key = contract.approval_key(run) if name == contract.Artefact.APPROVAL else f"runs/{run}/{name}"
    return target.output(StackOutput.DATA_BUCKET), key


def read_run_file(target: Target, *, run: str, name: str) -> bytes | None:
    """Return the content of a file that a run writes, or None if the run did not write it."""
    bucket, key = run_file(target, run=run, name=name)
    try:
        return read_object(target.client("s3"), bucket=bucket, key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
