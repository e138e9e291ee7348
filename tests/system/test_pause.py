"""A real-time endpoint that nobody asks, on a local cloud whose clock runs fast: it sleeps, wakes, and leaves nothing.

The tests of this file build on each other in their order.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import contract
from cli.digits import write_digits
from infra.outputs import StackOutput
from local import control
from local.clock import SPEED_VARIABLE
from local.cloud.permission_log import VARIABLE
from tests.system.left_behind import unstated
from tests.system.permission_table import PermissionLog, granted, unneeded
from tests.system.system import ENDPOINT, INPUT, STACK, System

SPEED = 240
"""An hour in 15 seconds, and the pause function's quarter of an hour in four."""
SETTINGS = {
    "serving.mode": "realtime",
    "serving.pause_after_hours": "1",
    # the clock runs fast for the jobs, too
    "tuning.max_minutes": "1440",
    "training.max_minutes": "1440",
    "debugger.mode": "off",
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> PermissionLog:
    """The permissions that the roles use."""
    return PermissionLog(tmp_path_factory.mktemp("log") / "permissions.jsonl")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, log: PermissionLog) -> Iterator[System]:
    state = tmp_path_factory.mktemp("pause")
    system = System(state, environment={SPEED_VARIABLE: str(SPEED), VARIABLE: str(log.file)})
    try:
        system.whippet("up", settings=SETTINGS)
        yield system
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, system: System) -> Path:
    """A held-out digit, whose model was released."""
    folder = tmp_path_factory.mktemp("digits")
    answers = write_digits(folder, train=30, held_out=1)
    system.whippet("upload", str(folder / "photos"), settings=SETTINGS)
    system.whippet("run", "--input", json.dumps(INPUT), settings=SETTINGS)
    return next(iter(answers))


def status(system: System) -> str | None:
    """The endpoint's status, or None where there is none."""
    sagemaker = system.client("sagemaker")
    found = sagemaker.list_endpoints(NameContains=ENDPOINT)["Endpoints"]
    return found[0]["EndpointStatus"] if found else None


def record(system: System) -> str:
    name = system.output(StackOutput.SLEEP_RECORD)
    return str(system.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])


def until(ready: Callable[[], bool], *, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.2)


def ask(system: System, photo: Path) -> tuple[int, dict[str, Any]]:
    answer = system.api("POST", "classify", photo.read_bytes(), x_api_key=system.key(), content_type="image/png")
    return answer.status, answer.json()


@pytest.fixture(scope="module")
def answer(system: System, photo: Path) -> dict[str, Any]:
    """The model's answer to the photo. On a slow machine its hour has passed since the release: it is woken, then."""
    answers: list[dict[str, Any]] = []

    def answered() -> bool:
        code, answer = ask(system, photo)
        assert code in (200, 503), answer
        answers.extend([answer] if code == 200 else [])
        return bool(answers)

    until(answered)
    return answers[0]


def test_an_endpoint_that_nobody_asks_goes_and_its_model_stays(system: System, answer: dict[str, Any]) -> None:
    asked = time.monotonic()
    until(lambda: status(system) is None)
    assert (time.monotonic() - asked) * SPEED >= 3600, "it had been asked within the hour"

    # nothing that is paid for by the hour, and all that brings it back
    sagemaker, config = system.client("sagemaker"), answer["model"]["release"]
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert [item["EndpointConfigName"] for item in sagemaker.list_endpoint_configs()["EndpointConfigs"]] == [config]
    assert [item["ModelName"] for item in sagemaker.list_models()["Models"]] == [config]
    assert record(system) == config
    assert "asleep since" in system.whippet("status", settings=SETTINGS).stdout


def test_a_photo_wakes_the_model(system: System, photo: Path, answer: dict[str, Any]) -> None:
    health = system.api("GET", "health", x_api_key=system.key())
    assert (health.status, health.json()["title"]) == (503, "Model is asleep")
    assert status(system) is None, "asking for its health woke it"

    code, problem = ask(system, photo)
    assert (code, problem["title"]) == (503, "Model is waking")
    assert problem["retry_after"] > 0
    sagemaker = system.client("sagemaker")
    arn = sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == contract.environment_tags("dev")

    until(lambda: status(system) == "InService")
    assert ask(system, photo) == (200, answer)
    until(lambda: record(system) == contract.NOTHING_SLEEPS)


def test_the_pause_function_may_do_no_more_than_it_does(
    system: System, answer: dict[str, Any], log: PermissionLog
) -> None:
    log.end("pause")
    permissions, role = granted(system.client("iam"), prefix=STACK), f"{STACK}-PauseFunction"
    assert any(permission.role.startswith(role) for permission in permissions)
    assert unneeded(permissions, log, role=role) == []


def test_a_destroy_while_it_wakes_leaves_nothing(system: System, answer: dict[str, Any]) -> None:
    until(lambda: status(system) is None)
    refused = system.whippet("up", check=False, settings=SETTINGS | {"serving.pause_after_hours": ""})
    assert "wake it with `whippet wake` before" in refused.stderr
    woken = system.whippet("wake", "--no-wait", settings=SETTINGS)
    assert f"the model {answer['model']['release']} wakes" in woken.stdout
    assert "dollars an hour" in woken.stdout

    system.client("cloudformation").delete_stack(StackName=STACK)
    until(lambda: unstated(system.client) == [])
