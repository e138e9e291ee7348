"""The application, called in process; its workers are processes."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from inference import body as body_module
from inference import pool as pool_module
from inference.app import create_app
from inference.invocation import CUSTOM_ATTRIBUTES
from inference.metrics import Metrics
from inference.pool import Pool
from tests.inference.conftest import huge_png, picture, write_model


class Running:
    """An application with its workers, on an event loop of its own."""

    def __init__(self, pool: Pool, *, batch: str | None = None) -> None:
        self.pool = pool
        self.app: Starlette = create_app(pool, metrics=Metrics(), batch=batch)
        self.loop = asyncio.new_event_loop()

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://endpoint") as client:
                return await client.request(method, path, **request)

        return asyncio.run_coroutine_threadsafe(send(), self.loop).result(60)


@contextmanager
def running(model: Path, *, workers: int = 1, batch: str | None = None, kind: type[Pool] = Pool) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SM_MODEL_DIR", str(model))
        found = Running(kind(workers), batch=batch)
        thread = threading.Thread(target=found.loop.run_forever, daemon=True)
        thread.start()
        lifespan = found.app.router.lifespan_context(found.app)
        asyncio.run_coroutine_threadsafe(lifespan.__aenter__(), found.loop).result(60)
        try:
            yield found
        finally:
            asyncio.run_coroutine_threadsafe(lifespan.__aexit__(None, None, None), found.loop).result(60)
            found.loop.call_soon_threadsafe(found.loop.stop)
            thread.join()
            found.loop.close()


@pytest.fixture(scope="module")
def app(model_folder: Path) -> Iterator[Running]:
    with running(model_folder, workers=2) as found:
        yield found


def call(app: Running, method: str, path: str, **request: Any) -> httpx.Response:
    return app.call(method, path, **request)


def invoke(app: Running, body: bytes, *, content_type: str = "image/jpeg") -> httpx.Response:
    return call(app, "POST", "/invocations", content=body, headers={"content-type": content_type})


def check_problem(response: httpx.Response, *, status: int, detail: str) -> None:
    """The answer is problem+json of that status, and says why."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert detail in problem["detail"]


def check_still_answers(app: Running) -> None:
    response = invoke(app, picture("blue"))
    assert response.status_code == 200
    assert response.json()["label"] == "blue é"


def test_ping(app: Running) -> None:
    assert call(app, "GET", "/ping").status_code == 200


def test_bytes_are_classified(app: Running) -> None:
    response = invoke(app, picture("red"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert set(answer) == {"label", "score", "known", "distance", "predictions", "model"}
    assert (answer["label"], answer["known"]) == ("red", True)
    assert [set(entry) for entry in answer["predictions"]] == [{"label", "score"}] * 3


def test_json_is_classified(app: Running) -> None:
    body = {"inputs": base64.b64encode(picture("lime")).decode(), "parameters": {"top_k": 1}}
    response = call(app, "POST", "/invocations", json=body)
    assert [entry["label"] for entry in response.json()["predictions"]] == ["green"]


@pytest.mark.parametrize("attributes", ["coverage=0.5;top_k=2", "trace-id=a=b; top_k = 2 ;coverage=.5;explain=1;"])
def test_parameters_of_an_images_bytes_come_as_custom_attributes(app: Running, attributes: str) -> None:
    headers = {"content-type": "image/jpeg", "x-amzn-sagemaker-custom-attributes": attributes}
    answer = call(app, "POST", "/invocations", content=picture("red"), headers=headers).json()
    assert [entry["label"] for entry in answer["predictions"]] == ["red", "green"]
    assert answer["labels"] == ["red"]


def test_a_heat_map_comes_with_explain_only(app: Running) -> None:
    plain = invoke(app, picture("red")).json()
    headers = {"content-type": "image/jpeg", CUSTOM_ATTRIBUTES: "explain=1"}
    explained = call(app, "POST", "/invocations", content=picture("red"), headers=headers).json()
    assert "heat_map" not in plain
    assert explained.pop("heat_map")["label"] == "red"
    assert explained == plain


def test_a_model_without_heat_maps_says_what_to_do(tmp_path: Path) -> None:
    headers = {"content-type": "image/jpeg", CUSTOM_ATTRIBUTES: "explain=1"}
    with running(write_model(tmp_path, earlier=True)) as earlier:
        response = call(earlier, "POST", "/invocations", content=picture(), headers=headers)
        check_problem(response, status=422, detail="leave explain out, or start a run")
        assert invoke(earlier, picture()).status_code == 200


def test_a_coverage_that_cannot_be_promised_is_told_so(app: Running) -> None:
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
    app: Running, body: bytes, content_type: str, status: int, detail: str
) -> None:
    check_problem(invoke(app, body, content_type=content_type), status=status, detail=detail)
    check_still_answers(app)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused(app: Running) -> None:
    check_problem(invoke(app, huge_png(), content_type="image/png"), status=400, detail="pixels")
    check_still_answers(app)


def test_a_body_over_the_limit_is_refused_with_and_without_its_length(
    app: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "MAX_BODY_BYTES", 1000)

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
def test_another_path_or_method_is_told_the_right_one(app: Running, method: str, path: str, status: int) -> None:
    check_problem(call(app, method, path), status=status, detail="GET /ping or POST /invocations")


class NoRoom(Pool):
    """Workers before which nothing may wait."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers, waiting=0)


def test_refusals_for_want_of_room_are_one_line_a_second_with_every_id(
    model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(app: Running, request: str) -> None:
        headers = {CUSTOM_ATTRIBUTES: f"request_id={request}"}
        response = call(app, "POST", "/invocations", content=picture(), headers=headers)
        check_problem(response, status=503, detail="0 requests wait already")
        assert response.headers["retry-after"] == "1"

    with (
        caplog.at_level("INFO", logger="inference"),
        ThreadPoolExecutor(1) as threads,
        running(model_folder, kind=NoRoom) as app,
    ):
        (worker,) = app.pool._running
        os.kill(worker.pid, signal.SIGSTOP)
        first = threads.submit(invoke, app, picture())
        while app.pool.busy == 0:
            time.sleep(0.01)
        refused(app, "a")
        refused(app, "b")
        while "refused" not in caplog.text:
            time.sleep(0.01)
        refused(app, "c")
        os.kill(worker.pid, signal.SIGCONT)
        assert first.result().status_code == 200
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert lines == [
        "2 requests refused: 503 0 requests wait already: a, b",
        "1 requests refused: 503 0 requests wait already: c",
    ]


@pytest.mark.parametrize(
    ("attributes", "logged"),
    [("request_id=0f3c-1;top_k=3", "0f3c-1"), ("top_k=3; request_id=a", "a"), ("", "-"), ("request_id=a b", "-")],
)
def test_a_refusal_is_found_in_the_log_by_the_apis_id(
    app: Running, caplog: pytest.LogCaptureFixture, attributes: str, logged: str
) -> None:
    """A-41."""
    with caplog.at_level("INFO", logger="inference"):
        call(app, "POST", "/invocations", content=b"", headers={CUSTOM_ATTRIBUTES: attributes})
    assert f"request {logged} refused: 4" in caplog.text


def test_bodies_beyond_what_the_server_holds_are_refused_and_counted_out(
    app: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "MAX_HELD_BYTES", 100_000)
    for _ in range(3):
        response = invoke(app, bytes(100_001))
        check_problem(response, status=503, detail="too much to do")
        assert response.headers["retry-after"] == "1"
        assert invoke(app, bytes(90_000)).status_code == 400
    check_still_answers(app)


def test_a_body_that_does_not_come_is_given_up(app: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "MAX_BODY_SECONDS", 0.1)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"begin"
        await asyncio.sleep(60)

    response = call(app, "POST", "/invocations", content=stalled(), headers={"content-type": "image/jpeg"})
    check_problem(response, status=408, detail="has not come within")
    check_still_answers(app)


def test_metrics_count_answers_and_refusals(model_folder: Path) -> None:
    with running(model_folder) as app:
        for body in (picture(), picture(), b"a text"):
            invoke(app, body)
        text = call(app, "GET", "/metrics").text
    assert 'whippet_requests_total{status="200"} 2' in text
    assert 'whippet_requests_total{status="400"} 1' in text
    assert "whippet_decode_seconds_count 2" in text


def test_ping_says_when_answers_stop_and_not_when_nobody_asks(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "SILENCE_SECONDS", 1.0)
    with running(model_folder) as app, ThreadPoolExecutor(1) as threads:
        (worker,) = app.pool._running
        os.kill(worker.pid, signal.SIGSTOP)
        time.sleep(1.5)
        assert call(app, "GET", "/ping").status_code == 200
        answer = threads.submit(invoke, app, picture())
        while app.pool.busy == 0:
            time.sleep(0.01)
        assert call(app, "GET", "/ping").status_code == 200
        while call(app, "GET", "/ping").status_code == 200:
            time.sleep(0.05)
        os.kill(worker.pid, signal.SIGCONT)
        assert answer.result().status_code == 200
        assert call(app, "GET", "/ping").status_code == 200


def test_a_worker_that_hangs_is_ended_and_another_answers(model_folder: Path) -> None:
    with running(model_folder) as app:
        (worker,) = app.pool._running
        os.kill(worker.pid, signal.SIGSTOP)
        app.pool._max_seconds = 0.5
        check_problem(invoke(app, picture()), status=503, detail="send it again")
        app.pool._max_seconds = 60
        check_still_answers(app)


def test_a_request_that_has_waited_too_long_is_not_begun(model_folder: Path) -> None:
    with running(model_folder) as app, ThreadPoolExecutor(1) as threads:
        (worker,) = app.pool._running
        os.kill(worker.pid, signal.SIGSTOP)
        first = threads.submit(invoke, app, picture())
        while app.pool.busy == 0:
            time.sleep(0.01)
        app.pool._patience = 0.2
        check_problem(invoke(app, picture()), status=503, detail="has waited for 0.2 seconds")
        assert app.pool.waiting == 0
        os.kill(worker.pid, signal.SIGCONT)
        assert first.result().status_code == 200
