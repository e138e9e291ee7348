"""Calls that AWS throttles: the clients slow down, try again, and give up in bounded time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker
from build_image import handler as build_image
from cleanup import handler as cleanup
from cleanup.run_remains import delete_model_packages
from retire import handler as retire
from shared import aws_errors
from shared.custom_resource import Deadline, OutOfTime
from shared.patience import LONGEST_CALL_SECONDS, PATIENT, patiently

from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error

THROTTLED = 400, {"__type": "ThrottlingException", "message": "Rate exceeded"}
Answer = tuple[int, dict[str, Any]]


class Raw:
    """The body of an answer, as urllib3 gives it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body


def client_of(answer: Callable[[str, dict[str, Any]], Answer]) -> Any:
    """A `PATIENT` SageMaker client whose requests, as they would be sent, are answered by `answer(call, request)`."""
    client: Any = boto3.client("sagemaker", config=PATIENT)
    headers: Any = {"content-type": "application/x-amz-json-1.1"}

    def send(request: Any, **_: Any) -> AWSResponse:
        status, body = answer(request.headers["X-Amz-Target"].decode().split(".")[1], json.loads(request.body))
        raw: Any = Raw(json.dumps(body).encode())
        return AWSResponse(request.url, status, headers, raw)

    client.meta.events.register("before-send.sagemaker", send)
    return client


@pytest.fixture(autouse=True)
def _not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adaptive mode also lowers its rate for some minutes, which these tests do not wait for."""
    monkeypatch.setattr("botocore.retries.bucket.TokenBucket.acquire", lambda *_, **__: True)


@pytest.fixture
def deadline(context: Context, pauses: list[float]) -> Deadline:
    """The time of a function that waits for nothing."""
    return Deadline(context, longest_call_seconds=LONGEST_CALL_SECONDS)  # type: ignore[arg-type]


def test_five_hundred_packages_are_deleted_though_each_tenth_call_is_throttled(deadline: Deadline) -> None:
    packages = [f"arn:aws:sagemaker:eu-west-1:1:model-package/whippet-dev/{number}" for number in range(500)]
    left, calls = list(packages), count(1)

    def answer(call: str, request: dict[str, Any]) -> Answer:
        if next(calls) % 10 == 0:
            return THROTTLED
        if call == "DeleteModelPackage":
            left.remove(request["ModelPackageName"])
            return 200, {}
        assert call == "ListModelPackages"
        first = int(request.get("NextToken", 0))
        page = [{"ModelPackageArn": arn} for arn in packages[first : first + 100]]
        more = {"NextToken": str(first + 100)} if first + 100 < len(packages) else {}
        return 200, {"ModelPackageSummaryList": page, **more}

    delete_model_packages(client_of(answer), "whippet-dev", deadline)
    assert left == []


def test_a_client_gives_up_in_the_time_that_the_deadline_keeps_for_a_call(pauses: list[float]) -> None:
    calls = count(1)

    def answer(_: str, __: dict[str, Any]) -> Answer:
        next(calls)
        return THROTTLED

    with pytest.raises(ClientError, match="Rate exceeded"):
        client_of(answer).delete_model(ModelName="m")
    attempts = next(calls) - 1
    assert attempts > 1, "it tries again"
    config: Any = PATIENT
    waiting = attempts * (config.connect_timeout + config.read_timeout)
    longest_pauses = sum(2**number for number in range(attempts - 1))
    held_back = attempts * 2
    assert sum(pauses) <= longest_pauses
    assert waiting + longest_pauses + held_back <= LONGEST_CALL_SECONDS


@pytest.mark.parametrize(
    "client",
    [cleanup.s3, cleanup.sagemaker, cleanup.states, retire.sagemaker, build_image.codebuild],
    ids=["cleanup-s3", "cleanup-sagemaker", "cleanup-states", "retire-sagemaker", "build_image-codebuild"],
)
def test_the_clients_are_patient(client: Any) -> None:
    assert client.meta.config.retries["mode"] == "adaptive"
    assert client.meta.config.read_timeout == 10


def test_a_call_that_stays_throttled_ends_with_the_functions_time(context: Context, deadline: Deadline) -> None:
    def throttled() -> None:
        raise client_error("ThrottlingException", "Rate exceeded")

    with pytest.raises(OutOfTime, match="ran out of time while deleting m"):
        patiently(throttled, deadline=deadline, doing="deleting m")
    assert context.remaining / 1000 >= 10, "there is time to answer CloudFormation"


def test_another_refusal_is_not_repeated(deadline: Deadline, pauses: list[float]) -> None:
    def refused() -> None:
        raise client_error("AccessDeniedException", "no")

    with pytest.raises(ClientError, match="no"):
        patiently(refused, deadline=deadline, doing="deleting m")
    assert pauses == []


def test_what_botocore_takes_for_throttling_is_taken_for_it_here() -> None:
    codes: list[str] = vars(ThrottledRetryableChecker)["_THROTTLED_ERROR_CODES"]
    assert all(aws_errors.is_throttled(client_error(code, "")) for code in codes)
