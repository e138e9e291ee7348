"""The stack destroyed after runs that failed at a state, and while one waits for a person: real jobs, real clean-up."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cli.digits import write_digits
from infra.outputs import StackOutput
from local import control
from local.clock import SPEED_VARIABLE
from tests.system.approval import wait_for_question
from tests.system.left_behind import unstated_after_runs
from tests.system.system import INPUT, System

PATIENCE_SECONDS = 600
SPEED = 10
"""A refused call is tried again for minutes; a job's time, of which there is plenty, is as much shorter."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A local cloud, on which a stack stands and falls again and again."""
    state = tmp_path_factory.mktemp("after-runs")
    write_digits(state, train=60, held_out=1)
    try:
        yield System(state, environment={SPEED_VARIABLE: str(SPEED)})
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


def start(system: System, *, settings: Mapping[str, str]) -> str:
    """Deploy the stack, start a run, and return the execution's ARN."""
    system.whippet("up", settings=settings)
    system.whippet("upload", str(system.state / "photos"), settings=settings)
    machine = system.output(StackOutput.STATE_MACHINE_ARN)
    states = system.client("stepfunctions")
    return str(states.start_execution(stateMachineArn=machine, input=json.dumps(INPUT))["executionArn"])


def refuse(system: System, *, service: str, operation: str) -> None:
    """Refuse every call of an operation from now on."""
    error = {"code": "ValidationException", "message": "it is refused", "status": 400}
    fault = {"service": service, "operation": operation, "error": error}
    new = system.state / "account.json.new"
    new.write_text(json.dumps({"faults": [fault]}))
    new.replace(system.state / "account.json")


def ended(system: System, execution: str) -> dict[str, Any]:
    """Wait for the end of a run, and return its description."""
    end = time.monotonic() + PATIENCE_SECONDS
    states = system.client("stepfunctions")
    while (found := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < end, "the run did not end"
        time.sleep(1)
    described: dict[str, Any] = found
    return described


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("sagemaker", "CreateProcessingJob"),
        ("sagemaker", "CreateHyperParameterTuningJob"),
        ("sagemaker", "CreateModelPackage"),
        ("sagemaker", "CreateModel"),
        ("sagemaker", "CreateEndpointConfig"),
        ("sagemaker", "CreateEndpoint"),
        ("sagemaker-runtime", "InvokeEndpoint"),
    ],
)
def test_a_destroy_after_a_run_that_failed_leaves_nothing(cloud: System, service: str, operation: str) -> None:
    cloud.whippet("up")
    refuse(cloud, service=service, operation=operation)
    try:
        assert ended(cloud, start(cloud, settings={}))["status"] == "FAILED"
        fired = (cloud.state / "account-faults.jsonl").read_text().splitlines()
        assert operation in {json.loads(line)["operation"] for line in fired}
    finally:
        (cloud.state / "account.json").unlink()
    cloud.destroy()
    assert unstated_after_runs(cloud.client) == []


def test_a_destroy_while_a_run_waits_for_a_person_leaves_nothing(cloud: System) -> None:
    start(cloud, settings={"release.approval": "manual"})
    wait_for_question(cloud)
    cloud.destroy()
    assert unstated_after_runs(cloud.client) == []
