"""The API before a model that sleeps: a photo wakes it, a look at its health does not."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from classify import handler as classify
from classify.sleeping_model import SleepingModel

from contract import WAKING_MINUTES, environment_tags
from tests.fakes.api import NOT_FOUND, FakeEndpoint, call, event, refused
from tests.fakes.s3 import client_error
from tests.fakes.ssm import RECORD, FakeParameter

PHOTO = event(b"image")
HEALTH = event(None, None, method="GET", path="/health")
SLEPT = "whippet-dev-run-1"
EXISTS = client_error("ValidationException", 'Cannot create already existing endpoint "arn:…".')


class SleepingEndpoint(FakeEndpoint):
    """No endpoint, until one is created."""

    def __init__(self, status: str | None = None, refusal: Exception | None = None) -> None:
        super().__init__(NOT_FOUND, status)
        self.refusal = refusal
        self.created: list[dict[str, Any]] = []

    def create_endpoint(self, **request: Any) -> None:
        if self.refusal:
            raise self.refusal
        self.created.append(request)
        self.status = "Creating"


@pytest.fixture(autouse=True)
def record(monkeypatch: pytest.MonkeyPatch) -> FakeParameter:
    """The record of a model that sleeps, which the function knows."""
    sleeping = SleepingModel("whippet-dev", record=RECORD, env="dev", patience=classify.endpoint._sleeping._patience)
    monkeypatch.setattr(classify.endpoint, "_sleeping", sleeping)
    return FakeParameter(SLEPT).serve(monkeypatch)


def test_a_photo_wakes_the_model_as_a_run_would_create_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = SleepingEndpoint()
    body, headers = refused(monkeypatch, endpoint, PHOTO)
    assert (body["status"], body["title"]) == (503, "Model is waking")
    assert f"about {WAKING_MINUTES} minutes" in body["detail"]
    assert int(headers["Retry-After"]) > 0
    assert endpoint.created == [
        {"EndpointName": "whippet-dev", "EndpointConfigName": SLEPT, "Tags": environment_tags("dev")}
    ]


@pytest.mark.parametrize("status", ["Creating", "Deleting"])
def test_it_is_woken_once_and_waited_for(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    """While it is deleted to sleep, it cannot be created yet."""
    endpoint = SleepingEndpoint(status)
    for request in (PHOTO, HEALTH):
        body, headers = refused(monkeypatch, endpoint, request)
        assert (body["title"], int(headers["Retry-After"])) == ("Model is waking", 30)
    assert endpoint.created == []


@pytest.mark.parametrize("lost", [EXISTS, ReadTimeoutError(endpoint_url="https://api")], ids=["taken", "no answer"])
def test_another_request_that_was_quicker_wakes_it_as_well(monkeypatch: pytest.MonkeyPatch, lost: Exception) -> None:
    body, headers = refused(monkeypatch, SleepingEndpoint(refusal=lost), PHOTO)
    assert body["title"] == "Model is waking"
    assert int(headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("refusal", "title", "come_back"),
    [
        (client_error("ResourceLimitExceeded", "The account-level service limit"), "Model cannot wake", True),
        (client_error("AccessDeniedException", "no"), "Model cannot wake", True),
        (client_error("ValidationException", 'Could not find endpoint configuration "arn".'), "No model", False),
    ],
)
def test_a_refusal_to_wake_it_is_told(
    monkeypatch: pytest.MonkeyPatch, refusal: ClientError, title: str, come_back: bool
) -> None:
    body, headers = refused(monkeypatch, SleepingEndpoint(refusal=refusal), PHOTO)
    assert (body["status"], body["title"]) == (503, title)
    assert ("Retry-After" in headers) is come_back


def test_its_health_says_that_it_sleeps_and_wakes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = SleepingEndpoint()
    body, headers = refused(monkeypatch, endpoint, HEALTH)
    assert (body["status"], body["title"]) == (503, "Model is asleep")
    assert "whippet wake" in body["detail"]
    assert "Retry-After" not in headers, "asking again wakes nothing"
    assert endpoint.created == []


def test_an_endpoint_that_failed_to_wake_says_who_can(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = SleepingEndpoint("Failed")
    for request in (PHOTO, HEALTH):
        body, headers = refused(monkeypatch, endpoint, request)
        assert body["title"] == "Model failed to start"
        assert "whippet wake" in body["detail"]
        assert "Retry-After" not in headers
    assert endpoint.created == []


@pytest.mark.parametrize("value", ["none", None], ids=["nothing sleeps", "the record is gone"])
def test_without_a_model_that_sleeps_nothing_is_created(
    monkeypatch: pytest.MonkeyPatch, record: FakeParameter, value: str | None
) -> None:
    record.value = value
    endpoint = SleepingEndpoint()
    for request in (PHOTO, HEALTH):
        assert refused(monkeypatch, endpoint, request)[0]["title"] == "No model yet"
    assert endpoint.created == []


def test_a_record_that_cannot_be_read_is_no_reason_to_say_that_there_is_no_model(
    monkeypatch: pytest.MonkeyPatch, record: FakeParameter
) -> None:
    def throttled(**_: str) -> None:
        raise client_error("ThrottlingException", "Rate exceeded")

    monkeypatch.setattr(record, "get_parameter", throttled)
    body, headers = refused(monkeypatch, SleepingEndpoint(), PHOTO)
    assert body["status"] == 503
    assert int(headers["Retry-After"]) > 0


def test_an_upload_wakes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = SleepingEndpoint()
    assert call(monkeypatch, endpoint, event(None, None, path="/uploads"))[0] == 200
    assert endpoint.created == []


def test_a_photo_that_the_function_refuses_wakes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = SleepingEndpoint()
    assert refused(monkeypatch, endpoint, event(b""))[0]["status"] < 500
    assert endpoint.created == []


def test_the_photos_of_one_request_ask_for_one_client_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3's default session makes clients for one thread at a time."""
    busy, clashes = threading.Lock(), []

    def looked_up(*_: Any, **__: Any) -> str:
        if not busy.acquire(blocking=False):
            clashes.append(threading.current_thread())
        else:
            threading.Event().wait(0.02)
            busy.release()
        return SLEPT

    monkeypatch.setattr("classify.sleeping_model.sleeping_config", looked_up)
    threads = [threading.Thread(target=classify.endpoint._sleeping.config) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == []
