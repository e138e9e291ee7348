from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from classify import handler as classify

from contract import (
    MAX_IMAGE_BYTES,
    MAX_JSON_IMAGE_BYTES,
    MAX_SERVERLESS_IMAGE_BYTES,
    MAX_SERVERLESS_JSON_IMAGE_BYTES,
)
from local.cloud.lambda_ import MAX_REQUEST_BYTES
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error

ANSWER = {"label": "cat", "score": 0.9, "known": True, "distance": 0.5, "predictions": [{"label": "cat", "score": 0.9}]}
NOT_FOUND = client_error("ValidationError", "Endpoint whippet-dev of account 123456789012 not found.")


class FakeEndpoint:
    """Runtime and control plane of one endpoint."""

    def __init__(self, answer: Any = ANSWER, status: str | None = "InService") -> None:
        self.answer, self.status = answer, status
        self.asked: list[tuple[bytes, str]] = []
        self.attributes: list[str | None] = []

    def invoke_endpoint(
        self,
        *,
        Body: bytes,  # noqa: N803
        ContentType: str,  # noqa: N803
        CustomAttributes: str | None = None,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        self.asked.append((Body, ContentType))
        self.attributes.append(CustomAttributes)
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"Body": io.BytesIO(json.dumps(self.answer).encode())}

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        if self.status is None:
            raise client_error("ValidationException", 'Could not find endpoint "whippet-dev".')
        changed = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
        return {
            "EndpointStatus": self.status,
            "EndpointConfigName": "whippet-dev-run-1",
            "LastModifiedTime": changed,
        }


def event(
    body: bytes | str | None, content_type: str | None = "image/jpeg", *, method: str = "POST", path: str = "/classify"
) -> dict[str, Any]:
    encoded = isinstance(body, bytes)
    return {
        "httpMethod": method,
        "path": path,
        "resource": path,
        "headers": {"Content-Type": content_type} if content_type else {},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "requestContext": {"requestId": "r", "httpMethod": method, "path": path, "stage": "v1"},
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": encoded,
    }


def call(
    monkeypatch: pytest.MonkeyPatch, endpoint: FakeEndpoint, request: dict[str, Any]
) -> tuple[int, Any, dict[str, Any]]:
    monkeypatch.setattr(classify.endpoint, "_runtime", endpoint)
    monkeypatch.setattr(classify.endpoint, "_sagemaker", endpoint)
    answer = classify.handler(request, Context())  # type: ignore[arg-type]
    headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    return answer["statusCode"], json.loads(answer["body"]), headers


@pytest.fixture
def serverless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint runs only while it is asked."""
    monkeypatch.setattr(classify, "mode", "serverless")
    monkeypatch.setattr(classify.endpoint, "_is_serverless", True)


def refused(
    monkeypatch: pytest.MonkeyPatch, endpoint: FakeEndpoint, request: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    status, body, headers = call(monkeypatch, endpoint, request)
    assert headers["Content-Type"] == "application/problem+json"
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["status"] == status
    return body, headers


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        ("image/jpeg", "image/jpeg"),
        ("image/png; q=1", "image/png"),
        ("application/octet-stream", "application/octet-stream"),
        ("application/x-www-form-urlencoded", "application/octet-stream"),
        (None, "application/octet-stream"),
    ],
)
def test_an_images_bytes_reach_the_endpoint_unharmed(
    monkeypatch: pytest.MonkeyPatch, sent: str | None, passed_on: str
) -> None:
    endpoint = FakeEndpoint()
    image = bytes(range(256))
    status, body, headers = call(monkeypatch, endpoint, event(image, sent))
    assert (status, body, headers["Content-Type"]) == (200, ANSWER, "application/json")
    assert endpoint.asked == [(image, passed_on)]


@pytest.mark.parametrize("binary", [True, False])
def test_json_reaches_the_endpoint_however_api_gateway_hands_it_over(
    monkeypatch: pytest.MonkeyPatch, binary: bool
) -> None:
    endpoint = FakeEndpoint()
    text = json.dumps({"inputs": base64.b64encode(b"image").decode(), "parameters": {"top_k": 2}})
    status, _, _ = call(monkeypatch, endpoint, event(text.encode() if binary else text, "application/json"))
    assert status == 200
    assert endpoint.asked == [(text.encode(), "application/json")]


def query(**parameters: list[str]) -> dict[str, Any]:
    """The event of an image with a query string, in both forms that API Gateway gives it."""
    return event(b"image") | {
        "queryStringParameters": {name: values[-1] for name, values in parameters.items()},
        "multiValueQueryStringParameters": parameters,
    }


@pytest.mark.parametrize("multi_value", [True, False])
def test_the_query_string_reaches_the_endpoint_as_custom_attributes(
    monkeypatch: pytest.MonkeyPatch, multi_value: bool
) -> None:
    endpoint = FakeEndpoint()
    request = query(top_k=["3"], coverage=["0.95"], explain=["1"])
    if not multi_value:
        del request["multiValueQueryStringParameters"]
    assert call(monkeypatch, endpoint, request)[0] == 200
    assert endpoint.attributes == ["coverage=0.95;explain=1;top_k=3"]


def test_an_endpoint_of_an_earlier_release_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a deployment and the next release, its container answers a list of predictions."""
    predictions = [{"label": "café", "score": 0.75}, {"label": "dog", "score": 0.25}]
    status, body, _ = call(monkeypatch, FakeEndpoint(predictions), event(b"image"))
    assert (status, body) == (
        200,
        {"label": "café", "score": 0.75, "known": None, "distance": None, "predictions": predictions},
    )
    problem, _ = refused(monkeypatch, FakeEndpoint(predictions), query(coverage=["0.95"]))
    assert problem["status"] == 422
    assert "released before" in problem["detail"]
    assert "start a run" in problem["detail"]


def test_a_request_without_a_query_string_has_no_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = FakeEndpoint()
    call(monkeypatch, endpoint, event(b"image"))
    assert endpoint.attributes == [None]


@pytest.mark.parametrize(
    ("request_event", "words"),
    [
        (query(coverge=["0.95"]), "known are top_k, coverage, explain"),
        (query(coverage=["0.9", "0.8"]), "coverage 2 times"),
        (query(coverage=["0.9;top_k=3"]), "?coverage=0.95&top_k=3&explain=1"),
        (query(coverage=[""]), "?coverage=0.95"),
        (query(coverage=["0,95"]), "?coverage=0.95"),
        (query(top_k=["٣"]), "?coverage=0.95"),
        (query(top_k=["1" * 2000]), "?coverage=0.95"),
        (query(explain=["1\r\nx-evil: 1"]), "?coverage=0.95"),
    ],
)
def test_a_wrong_query_string_is_told_the_right_one(
    monkeypatch: pytest.MonkeyPatch, request_event: dict[str, Any], words: str
) -> None:
    endpoint = FakeEndpoint()
    body, _ = refused(monkeypatch, endpoint, request_event)
    assert body["status"] == 400
    assert words in body["detail"]
    assert endpoint.asked == []


@pytest.mark.parametrize(
    ("request_event", "status", "words"),
    [
        (event(None), 400, "no body"),
        (event(b""), 400, "no body"),
        (event(b"hello", "text/plain"), 415, "content type is text/plain"),
        (event(b"--x", "multipart/form-data; boundary=x"), 415, "multipart/form-data"),
        (event(b"{", "application/json"), 400, "is not"),
        (event(b"[]", "application/json"), 400, '"inputs"'),
        (event(b'{"inputs": 3}', "application/json"), 400, '"inputs"'),
        (event(b"x" * (MAX_IMAGE_BYTES + 1)), 413, "make it smaller"),
        (event(json.dumps({"inputs": "x" * 6_100_000}), "application/json"), 413, "make it smaller"),
        (event("%%%", "image/png") | {"isBase64Encoded": True}, 400, "not valid base64"),
    ],
)
def test_bad_requests_are_problems_and_never_reach_the_endpoint(
    monkeypatch: pytest.MonkeyPatch, request_event: dict[str, Any], status: int, words: str
) -> None:
    endpoint = FakeEndpoint()
    body, _ = refused(monkeypatch, endpoint, request_event)
    assert body["status"] == status
    assert words in body["detail"]
    assert endpoint.asked == []


def as_json(size: int) -> bytes:
    return json.dumps({"inputs": base64.b64encode(b"x" * size).decode(), "parameters": {"top_k": 5}}).encode()


def test_a_photo_as_json_has_a_lower_limit_which_the_refusal_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A-32."""
    assert call(monkeypatch, FakeEndpoint(), event(as_json(MAX_JSON_IMAGE_BYTES), "application/json"))[0] == 200
    body, _ = refused(monkeypatch, FakeEndpoint(), event(as_json(4_000_000), "application/json"))
    assert "The image has 4.0 MB, but at most 3.5 MB are accepted as JSON (4.5 MB if its bytes" in body["detail"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"x" * MAX_IMAGE_BYTES, "image/jpeg"), (as_json(MAX_JSON_IMAGE_BYTES), "application/json")],
)
def test_the_largest_image_of_each_kind_fits_into_an_invocation(body: bytes, content_type: str) -> None:
    """API Gateway hands a body over in base64, and the headers twice, of which it takes 10,240 bytes."""
    request = event(body, content_type)
    request["headers"]["x"] = "y" * 10_240
    request["multiValueHeaders"]["x"] = ["y" * 10_240]
    assert len(json.dumps(request)) <= MAX_REQUEST_BYTES
    longer = event(body + b"y" * (len(body) // 10), content_type)
    assert len(json.dumps(longer)) > MAX_REQUEST_BYTES, "the limit is too low"


def test_the_largest_image_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, FakeEndpoint(), event(b"x" * MAX_IMAGE_BYTES))[0] == 200


@pytest.mark.parametrize("status", [400, 413, 415])
def test_the_endpoints_refusal_is_passed_on(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    original = {"type": "about:blank", "title": "Not an image", "status": status, "detail": "The bytes are no image."}
    error = client_error(
        "ModelError", "Received client error", OriginalStatusCode=status, OriginalMessage=json.dumps(original)
    )
    body, headers = refused(monkeypatch, FakeEndpoint(error), event(b"text"))
    assert body == original
    assert "Retry-After" not in headers


def test_a_refusal_without_details_is_passed_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    error = client_error("ModelError", "x", OriginalStatusCode=400, OriginalMessage="plain words")
    body, _ = refused(monkeypatch, FakeEndpoint(error), event(b"text"))
    assert (body["status"], body["detail"]) == (400, "plain words")


def test_before_the_first_release_the_answer_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = FakeEndpoint(NOT_FOUND, None)
    for request in (event(b"image"), event(None, None, method="GET", path="/health")):
        body, headers = refused(monkeypatch, endpoint, request)
        assert body["status"] == 503
        assert "No model has been released yet: start the state machine" in body["detail"]
        assert "Retry-After" not in headers


@pytest.mark.parametrize(
    ("answer", "endpoint_status", "status"),
    [
        (NOT_FOUND, "Creating", 503),
        (client_error("ValidationError", "Endpoint is in state Creating"), "Creating", 503),
        (client_error("ModelError", "server error", OriginalStatusCode=500), "InService", 502),
        (client_error("ThrottlingException", "Rate exceeded"), "InService", 503),
        (client_error("AccessDeniedException", "no"), "InService", 502),
        (client_error("ServiceUnavailable", "no", status=503), "InService", 502),
        (ReadTimeoutError(endpoint_url="https://runtime"), "InService", 503),
    ],
)
def test_failures_behind_the_api_say_when_to_try_again(
    monkeypatch: pytest.MonkeyPatch, answer: Exception, endpoint_status: str, status: int
) -> None:
    body, headers = refused(monkeypatch, FakeEndpoint(answer, endpoint_status), event(b"image"))
    assert body["status"] == status
    assert int(headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("status", "since"),
    [("InService", {"since": "2026-11-28T09:30:00+00:00"}), ("Updating", {})],
    ids=["in service", "while the next release is made ready, whose time is not this one's"],
)
def test_health_names_the_release(monkeypatch: pytest.MonkeyPatch, status: str, since: dict[str, str]) -> None:
    request = event(None, None, method="GET", path="/health")
    code, body, _ = call(monkeypatch, FakeEndpoint(status=status), request)
    assert code == 200
    assert body == {"status": "ok", "endpoint": "whippet-dev", "release": "whippet-dev-run-1"} | since


@pytest.mark.parametrize(("status", "words"), [("Creating", "try again"), ("Failed", "start the state machine")])
def test_health_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch, status: str, words: str) -> None:
    body, _ = refused(monkeypatch, FakeEndpoint(status=status), event(None, None, method="GET", path="/health"))
    assert body["status"] == 503
    assert words in body["detail"]


def test_unknown_routes_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    body, _ = refused(monkeypatch, FakeEndpoint(), event(None, None, method="GET", path="/nowhere"))
    assert body["status"] == 404


def test_a_bug_is_a_problem_without_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    body, _ = refused(monkeypatch, FakeEndpoint(RuntimeError("secret")), event(b"image"))
    assert body["status"] == 500
    assert "secret" not in json.dumps(body)


@pytest.mark.parametrize(
    "failure",
    [
        ReadTimeoutError(endpoint_url="https://runtime"),
        client_error("ModelNotReadyException", "resources are still being provisioned"),
    ],
)
def test_a_sleeping_model_is_said_to_be_waking(
    monkeypatch: pytest.MonkeyPatch, serverless: None, failure: Exception
) -> None:
    body, headers = refused(monkeypatch, FakeEndpoint(failure), event(b"image"))
    assert (body["status"], body["title"], headers["Retry-After"]) == (503, "Model is waking", "20")
    assert "try again in 20 seconds" in body["detail"]


def test_a_busy_serverless_endpoint_asks_to_come_back(monkeypatch: pytest.MonkeyPatch, serverless: None) -> None:
    throttled = FakeEndpoint(client_error("ThrottlingException", "Rate exceeded"))
    body, headers = refused(monkeypatch, throttled, event(b"image"))
    assert (body["status"], body["title"], headers["Retry-After"]) == (503, "Model is busy", "2")


def test_a_serverless_endpoint_takes_smaller_images(monkeypatch: pytest.MonkeyPatch, serverless: None) -> None:
    assert call(monkeypatch, FakeEndpoint(), event(b"x" * MAX_SERVERLESS_IMAGE_BYTES))[0] == 200
    too_large = event(b"x" * (MAX_SERVERLESS_IMAGE_BYTES + 1))
    assert "at most 4.0 MB are accepted" in refused(monkeypatch, FakeEndpoint(), too_large)[0]["detail"]

    as_large = as_json(MAX_SERVERLESS_JSON_IMAGE_BYTES)
    endpoint = FakeEndpoint()
    assert call(monkeypatch, endpoint, event(as_large, "application/json"))[0] == 200
    assert len(endpoint.asked[0][0]) <= 4 * 1024 * 1024
    too_large = event(as_json(MAX_SERVERLESS_JSON_IMAGE_BYTES + 3), "application/json")
    assert "3.0 MB are accepted as JSON (4.0 MB if" in refused(monkeypatch, FakeEndpoint(), too_large)[0]["detail"]
