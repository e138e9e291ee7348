"""POST /classify and GET /health before an endpoint that answers, refuses or fails."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from classify import handler as classify
from classify.problems import Problem

from contract import (
    MAX_IMAGE_BYTES,
    MAX_JSON_IMAGE_BYTES,
    MAX_SERVERLESS_IMAGE_BYTES,
)
from local.cloud.lambda_ import MAX_REQUEST_BYTES
from tests.fakes.api import ANSWER, NOT_FOUND, REQUEST_ID, FakeEndpoint, call, event, refused
from tests.fakes.s3 import client_error


@pytest.fixture
def serverless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint runs only while it is asked."""
    monkeypatch.setattr(classify, "mode", "serverless")
    monkeypatch.setattr(classify.endpoint, "_is_serverless", True)


@pytest.mark.parametrize("binary", [True, False])
def test_a_request_is_found_in_every_log_by_its_id(monkeypatch: pytest.MonkeyPatch, binary: bool) -> None:
    """The fake endpoint takes only attributes with the id."""
    endpoint = FakeEndpoint()
    headers = call(monkeypatch, endpoint, event(b"image" if binary else "image"))[2]
    assert headers["X-Request-Id"] == REQUEST_ID
    assert len(endpoint.asked) == 1


def test_an_answers_headers_name_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A-74."""
    headers = call(monkeypatch, FakeEndpoint(), event(b"image"))[2]
    assert headers["Whippet-Run"] == "run-1"
    assert headers["Whippet-Release"] == "whippet-dev-run-1"
    assert headers["Whippet-Test-Accuracy"] == "0.97"
    unnamed = {name: value for name, value in ANSWER.items() if name != "model"}
    assert not [name for name in call(monkeypatch, FakeEndpoint(unnamed), event(b"image"))[2] if "Whippet" in name]


@pytest.mark.parametrize("binary", [True, False])
def test_json_reaches_the_endpoint_however_api_gateway_hands_it_over(
    monkeypatch: pytest.MonkeyPatch, binary: bool
) -> None:
    endpoint = FakeEndpoint()
    parameters = {"top_k": 2, "coverage": 0.95, "explain": True}
    text = json.dumps({"inputs": base64.b64encode(b"image").decode(), "parameters": parameters})
    status, _, _ = call(monkeypatch, endpoint, event(text.encode() if binary else text, "application/json"))
    assert status == 200
    assert endpoint.asked == [b"image"]
    assert endpoint.attributes == ["coverage=0.95;explain=true;top_k=2"]


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
        (query(coverage=["0.4"]), "coverage must be a number from 0.5 to 0.999, such as 0.95."),
        (query(coverage=["none"]), "coverage must be a number"),
        (query(top_k=["0"]), "top_k must be a whole number from 1 on"),
        (query(top_k=["2.5"]), "top_k must be a whole number from 1 on"),
        (query(explain=["yes"]), "explain must be true or false"),
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
        (event(b"hello", "text/plain"), 415, "content type is 'text/plain'"),
        (event(b"{", "application/json"), 400, "is none"),
        (event(b"[]", "application/json"), 400, '"inputs"'),
        (event(b'{"inputs": 3}', "application/json"), 400, '"inputs"'),
        (event(b"[" * 100_000, "application/json"), 400, "nested too deeply"),
        (
            event(b'{"inputs": "' + b"[" * 9 + b'", "a": ' + b"[" * 100_000, "application/json"),
            400,
            "nested too deeply",
        ),
        (event(b'{"inputs": "aaaa", "top_k": 3}', "application/json"), 400, "has 'top_k'; known are inputs, s3, para"),
        (
            event(b'{"inputs": "aaaa", "parameters": {"topk": 3}}', "application/json"),
            400,
            "has 'topk'; known are top_k",
        ),
        (event(b'{"inputs": "aaaa", "parameters": [3]}', "application/json"), 400, '"parameters" is no object'),
        (event(b'{"inputs": "%%%%"}', "application/json"), 400, "not base64"),
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


WRONG_VALUES = [{"top_k": "3"}, {"top_k": True}, {"top_k": 10**400}, {"coverage": "0.95"}, {"coverage": None},
                {"explain": 1}, {"explain": [[]]}]  # fmt: skip


@pytest.mark.parametrize("parameters", WRONG_VALUES, ids=str)
def test_a_parameter_of_the_wrong_type_is_told_the_right_one(
    monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any]
) -> None:
    endpoint = FakeEndpoint()
    content = json.dumps({"inputs": "aaaa", "parameters": parameters})
    body, _ = refused(monkeypatch, endpoint, event(content, "application/json"))
    assert (body["status"], endpoint.asked) == (400, [])
    assert '{"top_k": 3, "coverage": 0.95, "explain": true}' in body["detail"]
    assert len(body["detail"]) < 300


def test_a_parameter_in_the_query_string_and_in_the_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    request = query(top_k=["3"]) | {"headers": {"Content-Type": "application/json"}, "isBase64Encoded": False}
    request["body"] = json.dumps({"inputs": "aaaa", "parameters": {"top_k": 3}})
    assert "in the query string and in the body" in refused(monkeypatch, FakeEndpoint(), request)[0]["detail"]


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
    assert original.items() <= body.items()
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
        (client_error("ModelError", "the queue is full", OriginalStatusCode=503), "InService", 503),
        (client_error("ModelError", "Your invocation timed out", OriginalStatusCode=0), "InService", 504),
        (client_error("ModelError", "Your invocation timed out"), "InService", 504),
        (client_error("ModelNotReadyException", "provisioning", status=429), "InService", 503),
        (client_error("ThrottlingException", "Rate exceeded"), "InService", 503),
        (client_error("AccessDeniedException", "no"), "InService", 502),
        (client_error("InternalFailure", "no", status=500), "InService", 503),
        (client_error("InternalDependencyException", "no", status=530), "InService", 503),
        (client_error("ServiceUnavailable", "no", status=503), "InService", 503),
        (EndpointConnectionError(endpoint_url="https://runtime"), "InService", 503),
        (ReadTimeoutError(endpoint_url="https://runtime"), "InService", 504),
    ],
)
def test_failures_behind_the_api_say_when_to_try_again(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], answer: Exception, endpoint_status: str, status: int
) -> None:
    """A-64."""
    body, headers = refused(monkeypatch, FakeEndpoint(answer, endpoint_status), event(b"image"))
    assert body["status"] == status
    assert int(headers["Retry-After"]) > 0


PASSING = [client_error("InternalFailure", "no"), EndpointConnectionError(endpoint_url="https://runtime")]


@pytest.mark.parametrize("failure", PASSING)
def test_a_passing_failure_is_tried_again_once(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], failure: Exception
) -> None:
    endpoint = FakeEndpoint([failure, ANSWER])
    assert call(monkeypatch, endpoint, event(b"image"))[:2] == (200, ANSWER)
    assert len(endpoint.asked) == 2

    endpoint = FakeEndpoint([failure, failure, ANSWER])
    assert refused(monkeypatch, endpoint, event(b"image"))[0]["status"] == 503
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [(PASSING[0], 5.0), (client_error("ThrottlingException", "no"), 0), (ReadTimeoutError(endpoint_url="x"), 0)],
)
def test_what_may_not_pass_in_time_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, seconds: float
) -> None:
    """API Gateway cuts a request off after 29 seconds, of which an attempt may take 24."""
    now = itertools.count(step=seconds)
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))
    endpoint = FakeEndpoint([failure, ANSWER])
    assert refused(monkeypatch, endpoint, event(b"image"))[0]["status"] in (503, 504)
    assert len(endpoint.asked) == 1


def test_a_refused_request_keeps_nothing_of_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is raised again holds the frames of every time, and the photos in them."""
    monkeypatch.setattr(classify.endpoint, "_runtime", FakeEndpoint(client_error("ThrottlingException", "no")))
    lengths = []
    for _ in range(3):
        with pytest.raises(Problem) as raised:
            classify.endpoint.classify(b"image", {}, request_id=REQUEST_ID)
        lengths.append(len(raised.traceback))
    assert len(set(lengths)) == 1


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


@pytest.mark.parametrize(("method", "path", "allowed"), [("GET", "/classify", "POST"), ("TRACE", "/health", "GET")])
def test_another_method_is_told_the_right_one(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, allowed: str
) -> None:
    body, headers = refused(monkeypatch, FakeEndpoint(), event(None, None, method=method, path=path))
    assert (body["status"], headers["Allow"]) == (405, allowed)
    assert allowed in body["detail"]


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

    assert call(monkeypatch, FakeEndpoint(), event(as_json(MAX_JSON_IMAGE_BYTES), "application/json"))[0] == 200
    too_large = event(as_json(MAX_JSON_IMAGE_BYTES + 3), "application/json")
    assert "3.5 MB are accepted as JSON (4.0 MB if" in refused(monkeypatch, FakeEndpoint(), too_large)[0]["detail"]
