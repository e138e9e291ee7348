"""`whippet status`: the model in service, and the newest runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

import contract
from cli.status import show
from infra.outputs import StackOutput
from tests.cli.stack import FakeStack
from tests.fakes.s3 import client_error
from tests.fakes.ssm import RECORD, FakeParameter

BEGIN = datetime(2026, 11, 25, 9, tzinfo=UTC)
EXECUTIONS = [
    {"name": "run-9", "status": "RUNNING", "startDate": BEGIN, "executionArn": "arn:9"},
    {
        "name": "run-8",
        "status": "FAILED",
        "startDate": BEGIN,
        "stopDate": BEGIN + timedelta(seconds=90),
        "executionArn": "arn:8",
    },
]


def name(execution: str) -> str:
    return contract.run_id(execution, started=BEGIN)


class StepFunctions:
    def list_executions(self, **_: Any) -> dict[str, Any]:
        return {"executions": EXECUTIONS}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        assert executionArn == "arn:8"
        return {"error": "ModelRejected"}


class SageMaker:
    def __init__(self, config: str | None, status: str = "InService") -> None:
        self.config, self.status = config, status

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if self.config is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        reason = {"FailureReason": "no ping"} if self.status == "Failed" else {}
        return {"EndpointConfigName": self.config, "EndpointStatus": self.status, **reason}


class Stack(FakeStack):
    cloud, api_url = None, "https://host/stage/"

    def output(self, name: StackOutput) -> str:
        more = {StackOutput.DATASET_URI: "s3://data/dataset/", StackOutput.ENDPOINT_NAME: "whippet-dev"}
        return more[name] if name in more else super().output(name)


def shown(
    config: str | None,
    objects: dict[str, bytes] | None = None,
    *,
    status: str = "InService",
    record: FakeParameter | None = None,
) -> list[str]:
    stack: Any = Stack(objects, stepfunctions=StepFunctions(), sagemaker=SageMaker(config, status), ssm=record)
    if record is not None:
        stack.outputs[StackOutput.SLEEP_RECORD] = RECORD
    console = Console(record=True, width=200)
    show(stack, console=console)
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_the_model_in_service_is_named_by_its_run_and_its_test_accuracy() -> None:
    decision = {"runs/run-7/decision.json": json.dumps({"test_accuracy": 0.9}).encode()}
    lines = shown("whippet-dev-run-7", decision)
    assert "endpoint whippet-dev: InService, model of run run-7, test accuracy 0.9000" in lines


def test_a_model_whose_decision_is_gone_is_still_named() -> None:
    assert "endpoint whippet-dev: InService, model of run run-7" in shown("whippet-dev-run-7")


def test_a_shadow_is_named_beside_the_model_that_answers() -> None:
    lines = shown(contract.shadow_config("whippet-dev-run-7", "run-8"))
    said = "model of run run-7, and that of run run-8 gets copies of the requests as its shadow"
    assert f"endpoint whippet-dev: InService, {said}" in lines


def test_before_the_first_release_there_is_no_endpoint() -> None:
    assert "endpoint whippet-dev: not created yet, as no run has released a model" in shown(None)


SLEEPS = FakeParameter("whippet-dev-run-7", modified=BEGIN)
SINCE = BEGIN.astimezone().strftime("%Y-%m-%d %H:%M:%S")
DECISION = {"runs/run-7/decision.json": json.dumps({"test_accuracy": 0.9}).encode()}


def test_a_model_that_sleeps_is_told_with_since_when_and_what_wakes_it() -> None:
    assert (
        f"endpoint whippet-dev: asleep since {SINCE}, model of run run-7, test accuracy 0.9000; a request or `whippet "
        "wake` wakes it"
    ) in shown(None, DECISION, record=SLEEPS)


@pytest.mark.parametrize("config", ["whippet-dev-run-7", "whippet-dev-run-8"], ids=["woken", "released"])
def test_an_endpoint_that_failed_before_a_sleeping_model_says_why(config: str) -> None:
    (line,) = [line for line in shown(config, status="Failed", record=SLEEPS) if line.startswith("endpoint ")]
    assert "failed (no ping), asleep since" in line
    assert "model of run run-7" in line


@pytest.mark.parametrize("record", [None, FakeParameter()], ids=["never sleeps", "does not sleep"])
def test_an_endpoint_that_failed_says_so_where_nothing_sleeps(record: FakeParameter | None) -> None:
    assert "endpoint whippet-dev: failed (no ping), model of run run-7" in shown(
        "whippet-dev-run-7", status="Failed", record=record
    )


def test_an_endpoint_that_serves_counts_more_than_the_record() -> None:
    assert "endpoint whippet-dev: InService, model of run run-8" in shown("whippet-dev-run-8", record=SLEEPS)


def test_runs_are_listed_with_the_error_of_those_that_failed() -> None:
    lines = shown(None)
    assert any(line.startswith(f"{name('run-9')} RUNNING") and not line.endswith(" s") for line in lines)
    assert any(line.startswith(f"{name('run-8')} FAILED") and line.endswith("90 s ModelRejected") for line in lines)


def test_a_run_that_no_person_started_says_what_did(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = contract.triggered_name("ready", "an upload")
    monkeypatch.setitem(EXECUTIONS[0], "name", ready)
    (line,) = [line for line in shown(None) if line.startswith(f"{name(ready)} RUNNING")]
    assert line.endswith(" ready")
