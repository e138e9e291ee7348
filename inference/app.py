"""The endpoint's HTTP interface, as SageMaker asks of a container: `GET /ping` and `POST /invocations`.

It passes requests on to workers (`inference.pool`) and looks into none, so that it can always answer. `GET /metrics` is
for the machine that it runs on; SageMaker lets nobody reach it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from inference.body import Bodies
from inference.environment import batch_parameters, metrics_endpoint, metrics_seconds, worker_count
from inference.invocation import CUSTOM_ATTRIBUTES, Problem
from inference.messages import Job
from inference.metrics import Metrics
from inference.parameters import request_id
from inference.pool import BusyError, Pool
from inference.problems import problem_body
from inference.refusals import Refusals

__all__ = ["create", "create_app"]

RETRY_AFTER_SECONDS: Final = 1
_log = logging.getLogger("inference")


def create() -> Starlette:
    """Return the application as the container's environment says."""
    logging.basicConfig(format="%(levelname)s %(message)s")
    _log.setLevel(logging.INFO)
    metrics = Metrics()
    pool = Pool(worker_count(), on_worker_end=metrics.worker_ended)
    return create_app(pool, metrics=metrics, endpoint=metrics_endpoint(), batch=batch_parameters())


def create_app(pool: Pool, *, metrics: Metrics, endpoint: str | None = None, batch: str | None = None) -> Starlette:
    """Return the application before workers, which start and end with it.

    Args:
        pool: the workers; its `on_worker_end` counts in `metrics`.
        metrics: what is counted.
        endpoint: the name under which metrics are written to the log; None where they are not.
        batch: the parameters of every photo of a transform job. A photo that is refused then gets the status 200 with
            `contract.BatchProblem`: any other one would fail the job.
    """
    bodies = Bodies()
    refusals = Refusals()

    async def ping(_request: Request) -> Response:
        return Response(status_code=200 if pool.is_healthy else 503)

    async def invocations(request: Request) -> Response:
        arrived = time.monotonic()
        async with bodies.received(request) as body:
            return await answered(request, body, arrived=arrived)

    async def answered(request: Request, body: bytes, *, arrived: float) -> Response:
        job = Job(body, request.headers.get("content-type", ""), request.headers.get(CUSTOM_ATTRIBUTES, batch or ""))
        metrics.queued(pool.waiting)
        try:
            worker = await pool.take(arrived=arrived, gone=lambda: asyncio.ensure_future(_gone(request)))
        except BusyError as error:
            refusals.add(_id(request), str(error))
            return _response(503, problem_body(503, f"the model is busy: {error}; send it again in a second"))
        if worker is None:
            metrics.abandon()
            return Response(status_code=499)
        begun = time.monotonic()
        reply = await pool.ask(worker, job)
        if reply.status == 200:
            metrics.took(wait=begun - arrived, decode=reply.decode_seconds, model=reply.model_seconds)
            metrics.answered(unknown=reply.unknown)
            metrics.count(200)
            return Response(reply.body, media_type="application/json")
        return refused(request, reply.status, reply.body)

    async def show_metrics(_request: Request) -> Response:
        text = metrics.prometheus(waiting=pool.waiting, busy=pool.busy)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await pool.start()
        beside = [asyncio.create_task(_end_with(os.getppid()))]
        if endpoint:
            beside.append(asyncio.create_task(_write_metrics(metrics, endpoint)))
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            await pool.close()
            refusals.write()

    def refused(request: Request, status: int, body: bytes) -> Response:
        _log.info("request %s refused: %d %s", _id(request), status, json.loads(body)["detail"])
        if batch is None or status >= 500:
            return _response(status, body)
        metrics.count(status)
        return Response(b'{"error": ' + body + b"}", media_type="application/json")

    def _response(status: int, body: bytes) -> Response:
        metrics.count(status)
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else None
        return Response(body, status, headers, "application/problem+json")

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101 (narrows the type Starlette's handlers have)
        return refused(request, error.status, problem_body(error.status, error.detail))

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        detail = f"{request.method} {request.url.path}: use GET /ping or POST /invocations"
        response = _response(error.status_code, problem_body(error.status_code, detail))
        response.headers.update(error.headers or {})
        return response

    async def on_disconnect(_request: Request, _error: Exception) -> Response:
        _log.info("a client closed the connection before its request was complete")
        return _response(400, problem_body(400, "the request is incomplete; send it again"))

    async def on_bug(request: Request, error: Exception) -> Response:
        _log.error("internal error at request %s", _id(request), exc_info=error)
        return _response(500, problem_body(500, "internal error; the endpoint's log has the details"))

    return Starlette(
        routes=[
            Route("/ping", ping, methods=["GET"]),
            Route("/invocations", invocations, methods=["POST"]),
            Route("/metrics", show_metrics, methods=["GET"]),
        ],
        exception_handlers={
            Problem: on_problem,
            HTTPException: on_http_exception,
            ClientDisconnect: on_disconnect,
            Exception: on_bug,
        },
        lifespan=lifespan,
    )


def _id(request: Request) -> str:
    """Return the API's id of the request, which its logs show, too."""
    return request_id(request.headers.get(CUSTOM_ATTRIBUTES, ""))


async def _gone(request: Request) -> None:
    """Return once the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _end_with(parent: int) -> None:
    """End this process, and by its sockets the workers, when the process that started it has ended."""
    while os.getppid() == parent:
        await asyncio.sleep(1)
    os._exit(1)


async def _write_metrics(metrics: Metrics, endpoint: str) -> None:
    pause = metrics_seconds()
    while True:
        await asyncio.sleep(pause)
        line = metrics.embedded(endpoint)
        if line is not None:
            print(line, flush=True)
