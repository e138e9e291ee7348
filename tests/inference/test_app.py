"""The application, called in process."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from inference import app as app_module
from inference.app import create_app
from inference.classifier import Classifier
from inference.invocation import CUSTOM_ATTRIBUTES, ClassifyRequest
from tests.inference.conftest import huge_png, picture, write_model


@pytest.fixture(scope="module")
def app(model_folder: Path) -> Starlette:
    return create_app(Classifier(model_folder, threads=1), concurrency=2)


def call(app: Starlette, method: str, path: str, **request: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://endpoint") as client:
            return await client.request(method, path, **request)

    return asyncio.run(send())


def invoke(app: Starlette, body: bytes, *, content_type: str = "image/jpeg") -> httpx.Response:
    return call(app, "POST", "/invocations", content=body, headers={"content-type": content_type})


def check_problem(response: httpx.Response, *, status: int, detail: str) -> None:
    """The answer is problem+json of that status, and says why."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert detail in problem["detail"]


def check_still_answers(app: Starlette) -> None:
    response = invoke(app, picture("blue"))
    assert response.status_code == 200
    assert response.json()["label"] == "blue é"


def test_ping(app: Starlette) -> None:
    assert call(app, "GET", "/ping").status_code == 200


def test_bytes_are_classified(app: Starlette) -> None:
    response = invoke(app, picture("red"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert set(answer) == {"label", "score", "known", "distance", "predictions", "model"}
    assert (answer["label"], answer["known"]) == ("red", True)
    assert [set(entry) for entry in answer["predictions"]] == [{"label", "score"}] * 3


def test_json_is_classified(app: Starlette) -> None:
    body = {"inputs": base64.b64encode(picture("lime")).decode(), "parameters": {"top_k": 1}}
    response = call(app, "POST", "/invocations", json=body)
    assert [entry["label"] for entry in response.json()["predictions"]] == ["green"]


@pytest.mark.parametrize("attributes", ["coverage=0.5;top_k=2", "trace-id=a=b; top_k = 2 ;coverage=.5;explain=1;"])
def test_parameters_of_an_images_bytes_come_as_custom_attributes(app: Starlette, attributes: str) -> None:
    headers = {"content-type": "image/jpeg", "x-amzn-sagemaker-custom-attributes": attributes}
    answer = call(app, "POST", "/invocations", content=picture("red"), headers=headers).json()
    assert [entry["label"] for entry in answer["predictions"]] == ["red", "green"]
    assert answer["labels"] == ["red"]


def test_a_heat_map_comes_with_explain_only(app: Starlette) -> None:
    plain = invoke(app, picture("red")).json()
    headers = {"content-type": "image/jpeg", CUSTOM_ATTRIBUTES: "explain=1"}
    explained = call(app, "POST", "/invocations", content=picture("red"), headers=headers).json()
    assert "heat_map" not in plain
    assert explained.pop("heat_map")["label"] == "red"
    assert explained == plain


def test_a_model_without_heat_maps_says_what_to_do(tmp_path: Path) -> None:
    earlier = create_app(Classifier(write_model(tmp_path, earlier=True), threads=1), concurrency=1)
    headers = {"content-type": "image/jpeg", CUSTOM_ATTRIBUTES: "explain=1"}
    response = call(earlier, "POST", "/invocations", content=picture(), headers=headers)
    check_problem(response, status=422, detail="leave explain out, or start a run")
    assert invoke(earlier, picture()).status_code == 200


def test_a_coverage_that_cannot_be_promised_is_told_so(app: Starlette) -> None:
    headers = {"content-type": "image/jpeg", "x-amzn-sagemaker-custom-attributes": "coverage=0.99"}
    response = call(app, "POST", "/invocations", content=picture("red"), headers=headers)
    check_problem(response, status=422, detail="50 held-out photos")
    check_still_answers(app)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "detail"),
    [
        (b"", "image/jpeg", 400, "empty"),
        (b"this is a text", "image/jpeg", 400, "not an image"),
        (picture()[:-20], "image/jpeg", 400, "damaged or incomplete"),
        (b"{}", "image/png", 400, "not an image"),
        (picture(), "text/plain", 415, "text/plain"),
        (picture(), "application/json", 422, "not JSON"),
        (b'{"inputs": "aGVsbG8="}', "application/json", 400, "not an image"),
        (b'{"inputs": "aGVsbG8=", "parameters": {"top_k": 0}}', "application/json", 422, "from 1 on"),
    ],
    ids=["empty", "text", "truncated", "JSON as PNG", "image as text", "image as JSON", "text in JSON", "top_k"],
)
def test_a_bad_request_is_told_why_and_the_next_good_one_works(
    app: Starlette, body: bytes, content_type: str, status: int, detail: str
) -> None:
    check_problem(invoke(app, body, content_type=content_type), status=status, detail=detail)
    check_still_answers(app)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused(app: Starlette) -> None:
    check_problem(invoke(app, huge_png(), content_type="image/png"), status=400, detail="pixels")
    check_still_answers(app)


def test_a_body_over_the_limit_is_refused_with_and_without_its_length(
    app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "MAX_BODY_BYTES", 1000)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(100)

    for body in (bytes(1001), bytes(10_000), chunks()):
        response = call(app, "POST", "/invocations", content=body, headers={"content-type": "image/jpeg"})
        check_problem(response, status=413, detail="1,000 bytes")
    assert invoke(app, bytes(1000)).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/invocation", 404), ("GET", "/invocations", 405), ("POST", "/ping", 405)],
)
def test_another_path_or_method_is_told_the_right_one(app: Starlette, method: str, path: str, status: int) -> None:
    check_problem(call(app, method, path), status=status, detail="GET /ping or POST /invocations")


@pytest.mark.parametrize(
    ("attributes", "logged"),
    [("request_id=0f3c-1;top_k=3", "0f3c-1"), ("top_k=3; request_id=a", "a"), ("", "-"), ("request_id=a b", "-")],
)
def test_a_refusal_is_found_in_the_log_by_the_apis_id(
    app: Starlette, caplog: pytest.LogCaptureFixture, attributes: str, logged: str
) -> None:
    """A-41."""
    with caplog.at_level("INFO", logger="inference"):
        call(app, "POST", "/invocations", content=b"", headers={CUSTOM_ATTRIBUTES: attributes})
    assert f"request {logged} refused: 4" in caplog.text


def test_a_bug_is_a_500_without_its_innards(model_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Classifier):
        def classify(self, asked: ClassifyRequest) -> Any:
            raise KeyError("secret")

    app = create_app(Broken(model_folder, threads=1), concurrency=1)
    response = invoke(app, picture())
    check_problem(response, status=500, detail="log")
    assert "secret" not in response.text
    assert "secret" in caplog.text
