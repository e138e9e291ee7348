"""Serverless endpoints: asleep while nobody asks, throttled above their concurrency, never made of real-time ones."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker import SageMaker, SageMakerError
from local.sagemaker.endpoints import serverless
from tests.local.sagemaker.conftest import eventually
from tests.local.sagemaker.endpoints.test_endpoints import Deployments


class Serverless(Deployments):
    """Configurations with a serverless variant."""

    def free(self, name: str, *, concurrency: int = 2, **environment: str) -> None:
        """A serverless configuration, and a real-time one of the same model with the name's end `-realtime`."""
        self.config(f"{name}-realtime", model=name, **environment)
        self.variants(name, [variant(f"{name}-realtime", concurrency=concurrency)])

    def variants(self, name: str, variants: list[dict[str, Any]]) -> None:
        self.sagemaker.call("CreateEndpointConfig", {"EndpointConfigName": name, "ProductionVariants": variants})


def variant(model: str, *, concurrency: int = 2, memory: int = 2048, **more: Any) -> dict[str, Any]:
    return {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "ServerlessConfig": {"MemorySizeInMB": memory, "MaxConcurrency": concurrency},
        **more,
    }


@pytest.fixture
def deployments(sagemaker: SageMaker, s3: Any, bucket: str) -> Serverless:
    return Serverless(sagemaker, s3, bucket)


@pytest.fixture
def idle_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverless, "IDLE_SECONDS", 0.3)


@pytest.fixture
def pid(tmp_path: Path) -> Callable[[], int | None]:
    """Returns the process that answers, or None while none runs."""

    def look() -> int | None:
        try:
            number = int((tmp_path / "pid").read_text())
            os.kill(number, 0)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return number

    return look


def test_it_sleeps_while_nobody_asks_and_wakes_with_the_next_request(
    deployments: Serverless, idle_soon: None, tmp_path: Path, pid: Callable[[], int | None]
) -> None:
    deployments.free("one", PID_FILE=str(tmp_path / "pid"))
    endpoint = deployments.create("one")
    (served,) = endpoint["ProductionVariants"]
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
    assert (endpoint["EndpointStatus"], served["CurrentServerlessConfig"]) == ("InService", config)
    assert "CurrentInstanceCount" not in served

    eventually(lambda: pid() is None)
    assert deployments.describe()["EndpointStatus"] == "InService"
    assert deployments.invoke(b"12345")["bytes"] == 5
    first = pid()
    assert first is not None
    eventually(lambda: pid() is None)
    assert deployments.invoke()["model"] == "one"
    assert pid() not in (None, first)


def test_it_does_not_fall_asleep_over_a_request(
    deployments: Serverless, idle_soon: None, tmp_path: Path, pid: Callable[[], int | None]
) -> None:
    deployments.free("slow", PID_FILE=str(tmp_path / "pid"), RELEASE_FILE=str(tmp_path / "release"))
    deployments.create("slow")
    answers: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: answers.append(deployments.invoke(b"slow")))
    asking.start()
    eventually(lambda: pid() is not None)
    time.sleep(0.8)  # longer than it may be idle
    assert pid() is not None
    (tmp_path / "release").touch()
    asking.join(timeout=20)
    assert [answer["bytes"] for answer in answers] == [4]


def test_more_requests_at_once_than_its_concurrency_are_throttled(deployments: Serverless, tmp_path: Path) -> None:
    deployments.free("busy", concurrency=1, RELEASE_FILE=str(tmp_path / "release"))
    deployments.create("busy")
    asking = threading.Thread(target=lambda: deployments.invoke(b"slow"))
    asking.start()

    def throttled() -> SageMakerError | None:
        try:
            deployments.invoke(b"quick")
        except SageMakerError as error:
            return error
        return None

    error: SageMakerError = eventually(throttled)
    assert (error.code, error.status) == ("ThrottlingException", 400)
    (tmp_path / "release").touch()
    asking.join(timeout=20)
    assert deployments.invoke(b"quick")["bytes"] == 5


def test_a_body_above_four_megabytes_is_refused(deployments: Serverless) -> None:
    deployments.free("small")
    deployments.create("small")
    assert deployments.invoke(b"x" * 4 * 1024 * 1024)["bytes"] == 4 * 1024 * 1024
    with pytest.raises(SageMakerError, match="oversize body") as refused:
        deployments.invoke(b"x" * (4 * 1024 * 1024 + 1))
    assert refused.value.code == "ValidationError"


def test_a_container_that_does_not_start_fails_the_creation(deployments: Serverless) -> None:
    deployments.free("broken", REFUSE_TO_START="1")
    endpoint = deployments.create("broken")
    assert endpoint["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in endpoint["FailureReason"]


def test_a_container_that_does_not_start_again_is_an_error_of_the_model(
    deployments: Serverless, idle_soon: None, tmp_path: Path, pid: Callable[[], int | None]
) -> None:
    deployments.free("ill", PID_FILE=str(tmp_path / "pid"))
    deployments.create("ill")
    eventually(lambda: pid() is None)
    (model,) = tmp_path.rglob("endpoints/endpoint/*/model/model.txt")
    model.unlink()
    with pytest.raises(SageMakerError) as failed:
        deployments.invoke()
    assert failed.value.code == "ModelError"


def test_it_becomes_real_time_but_never_the_other_way(deployments: Serverless) -> None:
    deployments.free("free")
    deployments.create("free")
    assert "CurrentServerlessConfig" not in deployments.update("free-realtime")["ProductionVariants"][0]
    with pytest.raises(SageMakerError, match="serverless") as refused:
        deployments.update("free")
    assert refused.value.code == "ValidationException"
    assert deployments.describe()["EndpointConfigName"] == "free-realtime"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"InstanceType": "ml.m5.large"}, "InstanceType"),
        ({"InitialInstanceCount": 1}, "InitialInstanceCount"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 1}}, "MemorySizeInMB"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 201}}, "axConcurrency"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2, "ProvisionedConcurrency": 1}}, "Provis"),
    ],
)
def test_what_serverless_variants_do_not_have_is_refused(
    deployments: Serverless, more: dict[str, Any], words: str
) -> None:
    deployments.config("model")
    with pytest.raises(SageMakerError, match=words):
        deployments.variants("config", [{**variant("model"), **more}])


def test_a_second_variant_is_refused(deployments: Serverless) -> None:
    deployments.config("model")
    with pytest.raises(SageMakerError, match="one variant"):
        deployments.variants("config", [variant("model"), {**variant("model"), "VariantName": "Other"}])


def test_a_deleted_one_leaves_no_process(
    deployments: Serverless, tmp_path: Path, pid: Callable[[], int | None]
) -> None:
    deployments.free("gone", PID_FILE=str(tmp_path / "pid"))
    deployments.create("gone")
    deployments.sagemaker.call("DeleteEndpoint", {"EndpointName": "endpoint"})
    eventually(deployments.gone)
    eventually(lambda: pid() is None)
