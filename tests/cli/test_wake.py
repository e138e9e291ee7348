"""`whippet wake`: a model that sleeps serves again, and who asks hears what it costs, or why nothing wakes."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

import contract
from cli import CliError
from cli.wake import wake
from infra.outputs import StackOutput
from tests.cli.stack import FakeStack
from tests.fakes.s3 import client_error
from tests.fakes.ssm import RECORD, FakeParameter
from tests.fakes.waking import SLEPT, WakingSageMaker


class Stack(FakeStack):
    def output(self, name: StackOutput) -> str:
        return "whippet-dev" if name == StackOutput.ENDPOINT_NAME else super().output(name)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


CREATED = {"EndpointName": "whippet-dev", "EndpointConfigName": SLEPT, "Tags": contract.environment_tags("dev")}


def woken(sagemaker: WakingSageMaker, *, record: str | None = SLEPT, wait: bool = True, pausing: bool = True) -> str:
    """What the command says."""
    stack: Any = Stack(sagemaker=sagemaker, ssm=FakeParameter(record))
    if pausing:
        stack.outputs[StackOutput.SLEEP_RECORD] = RECORD
    console = Console(record=True, width=500)
    wake(stack, wait=wait, console=console)
    return console.export_text()


def test_it_creates_the_endpoint_says_the_price_and_waits(pauses: list[float]) -> None:
    sagemaker = WakingSageMaker(None)
    said = woken(sagemaker)
    assert sagemaker.calls == [CREATED]
    assert "about 0.23 dollars an hour (2 of ml.m5.large at 0.115, prices of us-east-1" in said
    assert "the model serves after" in said
    assert len(pauses) == 1


def test_a_machine_without_a_known_price_is_named() -> None:
    assert "2 of ml.x9.large, whose price is not known here" in woken(WakingSageMaker(None, machine="ml.x9.large"))


def test_without_waiting_it_says_how_long_it_takes(pauses: list[float]) -> None:
    sagemaker = WakingSageMaker(None)
    assert f"in about {contract.WAKING_MINUTES} minutes" in woken(sagemaker, wait=False)
    assert (sagemaker.calls, pauses) == ([CREATED], [])


@pytest.mark.parametrize("status", ["InService", "Updating", "RollingBack"])
def test_where_the_model_serves_nothing_is_done(status: str) -> None:
    sagemaker = WakingSageMaker(status)
    assert f"no model sleeps: the endpoint is {status}" in woken(sagemaker)
    assert sagemaker.calls == []


def test_an_endpoint_that_starts_already_is_waited_for() -> None:
    sagemaker = WakingSageMaker("Creating", "Creating", "InService")
    said = woken(sagemaker)
    assert "is being started already" in said
    assert "the model serves" in said
    assert sagemaker.calls == []


def test_a_request_that_was_quicker_is_joined() -> None:
    taken = client_error("ValidationException", 'Cannot create already existing endpoint "arn".')
    said = woken(WakingSageMaker(None, refusal=taken))
    assert "a request has woken the model already" in said
    assert "the model serves" in said


def test_an_endpoint_that_falls_asleep_just_now_is_waited_for_first(pauses: list[float]) -> None:
    sagemaker = WakingSageMaker("Deleting", "Deleting", None)
    woken(sagemaker)
    assert sagemaker.calls == [CREATED]


def test_an_endpoint_that_failed_to_wake_is_deleted_and_created_again() -> None:
    sagemaker = WakingSageMaker("Failed")
    assert "the endpoint has failed, and is deleted first: no ping" in woken(sagemaker)
    assert sagemaker.calls == ["delete whippet-dev", CREATED]


@pytest.mark.parametrize("said", ['Could not find endpoint "arn".', 'Cannot update in-progress endpoint "arn".'])
def test_a_failed_endpoint_that_the_pause_function_deletes_first_is_no_error(said: str) -> None:
    sagemaker = WakingSageMaker("Failed")
    sagemaker.no_deletion = client_error("ValidationException", said)
    woken(sagemaker)
    assert sagemaker.calls == [CREATED]


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (["Creating", "Failed"], "failed to start: no ping. The model sleeps on; `whippet wake` tries again"),
        (["Creating", "Deleting", None], "was deleted while it started"),
    ],
)
def test_an_endpoint_that_does_not_start_is_told(after: list[str | None], words: str) -> None:
    sagemaker = WakingSageMaker(None)
    sagemaker.after_creation = after
    with pytest.raises(CliError, match=words):
        woken(sagemaker)


@pytest.mark.parametrize(
    ("sagemaker", "given", "words"),
    [
        (WakingSageMaker(None), {"record": "none"}, "none has been released yet; release one with `whippet run`"),
        (WakingSageMaker(None), {"pausing": False}, "only with the setting serving.pause_after_hours"),
        (WakingSageMaker("Failed"), {"record": "none"}, r"has failed and no model sleeps: start a run.*\(no ping\)"),
        (WakingSageMaker("Failed"), {"pausing": False}, "has failed and no model sleeps: start a run"),
        (WakingSageMaker(None, machine="deleted"), {}, f"the model {SLEPT} that slept was deleted"),
    ],
)
def test_where_nothing_can_wake_it_says_why(sagemaker: WakingSageMaker, given: dict[str, Any], words: str) -> None:
    with pytest.raises(CliError, match=words):
        woken(sagemaker, **given)
    assert sagemaker.calls == []


def test_a_refusal_of_sagemakers_is_passed_on() -> None:
    with pytest.raises(Exception, match="service limit"):
        woken(WakingSageMaker(None, refusal=client_error("ResourceLimitExceeded", "The account-level service limit")))
