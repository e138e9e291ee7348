"""Runs of the deployed state machine, by their short names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import contract
from cli.errors import CliError
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["newest_run"]


def newest_run(target: Target) -> str:
    """The run that was started last.

    Raises:
        CliError: there has been none.
    """
    machine = target.output(StackOutput.STATE_MACHINE_ARN)
    executions = target.client("stepfunctions").list_executions(stateMachineArn=machine, maxResults=1)["executions"]
    if not executions:
        raise CliError("there has been no run yet: start one with `whippet run`")
    return contract.run_id(executions[0]["name"])
