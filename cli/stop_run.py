"""`whippet stop-run`: stop a run, and wait until nothing of it is left."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import contract
from cli import CliError
from cli.check import printable
from cli.run import read_run_file, running_executions

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from cli.target import Target

__all__ = ["stop_run"]

_PATIENCE_SECONDS: Final = 20 * 60
"""How long to wait for the tidy-up: one attempt of it takes 15 minutes at most."""

_POLL_SECONDS: Final = 2.0

_MAX_CAUSE: Final = 32_768
"""The longest cause that StopExecution takes, in characters."""


def stop_run(target: Target, run: str | None, *, reason: str, confirm: Callable[[str], None], console: Console) -> None:
    """Stop a run that is going on, and say what was ended, once the tidy-up has written it down.

    Args:
        target: Where the stack is deployed.
        run: The run; None stands for the only one that is going on.
        reason: Why, for the message; may be empty.
        confirm: asks the question that it gets, and raises where the answer is no.
        console: is told what happens.

    Raises:
        CliError: no such run is going on, several are and none is named, or the tidy-up does not come to its end.
    """
    name, execution = _find(target, run)
    confirm(f"Stop run {name}? Its jobs end, and a model that it has not put into service yet is rejected.")
    stepfunctions = target.client("stepfunctions")
    identity = target.client("sts").get_caller_identity()["Arn"]
    why = f": {' '.join(reason.split())}" if reason.strip() else "."
    stepfunctions.stop_execution(
        executionArn=execution, error=contract.STOPPED_BY_COMMAND, cause=f"Stopped by {identity}{why}"[:_MAX_CAUSE]
    )
    console.print(f"run {name} was stopped; what it left is tidied up", highlight=False)

    # a run may have come to its end just before
    ended = stepfunctions.describe_execution(executionArn=execution)
    if ended["status"] not in ("ABORTED", "TIMED_OUT"):
        console.print(f"run {name} had ended by itself: {ended['status']}", highlight=False)
        return
    tidied = _wait(target, name, console)
    for line in tidied["done"] or ["a job that it waited for was stopped with it, and the endpoint is as it was"]:
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def _find(target: Target, run: str | None) -> tuple[str, str]:
    """Return the name and the execution's ARN of the run to stop.

    Raises:
        CliError: there is none, or it is not clear which.
    """
    going_on = {
        contract.run_id(one["name"], started=one["startDate"]): str(one["executionArn"])
        for one in running_executions(target)
    }
    listed = f"these are: {', '.join(going_on)}" if going_on else "no run is"
    if run is None and len(going_on) > 1:
        raise CliError(f"several runs are going on {target.place}: name one, `whippet stop-run RUN`; {listed}")
    if run is None and going_on:
        run = next(iter(going_on))
    if run is None or run not in going_on:
        subject = "no run is going on" if run is None else f"run {run} is not going on"
        raise CliError(f"{subject} {target.place}{'' if run is None else f': {listed}'}; `whippet status` lists them")
    return run, going_on[run]


def _wait(target: Target, run: str, console: Console) -> contract.TidiedRun:
    """Wait for the record that the tidy-up writes last.

    Raises:
        CliError: it does not come.
    """
    began = time.monotonic()
    with console.status(f"run {run} is tidied up …") as line:
        while (seconds := time.monotonic() - began) < _PATIENCE_SECONDS:
            content: Any = read_run_file(target, run=run, name=contract.Artefact.TIDIED)
            if content is not None:
                tidied: contract.TidiedRun = json.loads(content)
                return tidied
            line.update(f"run {run} is tidied up … {seconds:.0f} s")
            time.sleep(_POLL_SECONDS)
    raise CliError(
        f"run {run} was stopped, and is still being tidied up after {_PATIENCE_SECONDS // 60} minutes: a message to "
        "the topic of the output NotificationTopic tells how that ends. The reason is in the log of the function TidyUp"
    )
