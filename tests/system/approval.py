"""A run that asks a person, and the person's answer by `whippet approve`."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping

import contract
from infra.outputs import StackOutput
from tests.system.system import INPUT, System, run_of

__all__ = ["run_and_answer", "wait_for_question"]

PATIENCE_SECONDS = 300


def run_and_answer(
    system: System,
    *answer: str,
    settings: Mapping[str, str] | None = None,
    asked: Callable[[System], None] = lambda system: None,
) -> tuple[int, str]:
    """Start a run and answer its question; return the exit status of `whippet run` and its output.

    Args:
        system: Where; its setting `release.approval` is `manual`.
        answer: Arguments of `whippet approve`; none approve.
        settings: Of the commands.
        asked: Called while the run waits for the answer.
    """
    run = subprocess.Popen(
        system.command("run", "--input", json.dumps(INPUT), settings=settings),
        env=system.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        name = wait_for_question(system, goes_on=lambda: run.poll() is None)
        asked(system)
        system.whippet("approve", name, *answer, settings=settings)
        said, _ = run.communicate(timeout=PATIENCE_SECONDS)
        return run.returncode, said
    except AssertionError as error:
        run.kill()
        raise AssertionError(f"{error}: {run.communicate()[0]}") from None
    finally:
        run.kill()
        run.wait()


def wait_for_question(system: System, *, goes_on: Callable[[], bool] = lambda: True) -> str:
    """Wait until the run asks for approval, and return its name.

    Raises:
        AssertionError: it asks nothing in time, or does not go on.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    stepfunctions, machine = system.client("stepfunctions"), system.output(StackOutput.STATE_MACHINE_ARN)
    while time.monotonic() < deadline and goes_on():
        for execution in stepfunctions.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]:
            history = stepfunctions.get_execution_history(executionArn=execution["executionArn"], maxResults=1000)
            entered = [event.get("stateEnteredEventDetails", {}).get("name") for event in history["events"]]
            name = run_of(execution)
            if "AskApproval" in entered and _stored(system, contract.approval_key(name)):
                return name
        time.sleep(1)
    raise AssertionError("the run asked nothing")


def _stored(system: System, key: str) -> bool:
    return bool(system.client("s3").list_objects_v2(Bucket=system.bucket, Prefix=key)["KeyCount"])
