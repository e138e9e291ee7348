"""The endpoint's HTTP interface, as SageMaker asks of a container: `GET /ping` and `POST /invocations`."""

from __future__ import annotations

import logging
import os
from http import HTTPStatus
from pathlib import Path

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import contract
from inference.answer import CoverageError
from inference.classifier import Classifier, ExplanationError, available_cores
from inference.environment import name_unknown, release
from inference.invocation import CUSTOM_ATTRIBUTES, MAX_BODY_BYTES, Problem, parse
from inference.parameters import request_id
from training.preprocess import ImageError

__all__ = ["create", "create_app"]

_log = logging.getLogger("inference")


def create() -> Starlette:
    """Return the application of one worker, as the container's environment says; its model has run once."""
    workers = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS", "1"))
    threads = max(1, available_cores() // workers)
    folder = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    classifier = Classifier(folder, threads=threads, name_unknown=name_unknown(), release=release())
    return create_app(classifier, concurrency=threads)


def create_app(classifier: Classifier, *, concurrency: int) -> Starlette:
    """Return the application around a loaded model; it decodes and classifies at most `concurrency` photos at once."""
    limiter = CapacityLimiter(concurrency)

    async def ping(_request: Request) -> Response:
        return Response(status_code=200)

    async def invocations(request: Request) -> Response:
        body = await _body(request)
        asked = parse(
            body,
            content_type=request.headers.get("content-type", ""),
            attributes=request.headers.get(CUSTOM_ATTRIBUTES, ""),
        )
        try:
            answer = await to_thread.run_sync(classifier.classify, asked, limiter=limiter)
        except ImageError as error:
            raise Problem(400, str(error)) from error
        except (CoverageError, ExplanationError) as error:
            raise Problem(422, str(error)) from error
        return JSONResponse(answer)

    return Starlette(
        routes=[Route("/ping", ping, methods=["GET"]), Route("/invocations", invocations, methods=["POST"])],
        exception_handlers={
            Problem: _on_problem,
            HTTPException: _on_http_exception,
            ClientDisconnect: _on_disconnect,
            Exception: _on_bug,
        },
    )


async def _body(request: Request) -> bytes:
    """Return the request's body, of `MAX_BODY_BYTES` at most.

    A body that is too large is read to its end, or to four times the limit, and discarded: a client that is still
    sending would not read the response.

    Raises:
        Problem: 413, the body is too large.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        else:
            chunks.clear()
        if size > 4 * MAX_BODY_BYTES:
            break
    if size > MAX_BODY_BYTES:
        raise Problem(413, f"the body has more than {MAX_BODY_BYTES:,} bytes; send a smaller image")
    return b"".join(chunks)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 (narrows the type Starlette's handlers have)
    _log.warning("request %s refused: %d %s", _id(request), error.status, error.detail)
    return _problem(error.status, error.detail)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    response = _problem(error.status_code, f"{request.method} {request.url.path}: use GET /ping or POST /invocations")
    response.headers.update(error.headers or {})
    return response


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    _log.info("a client closed the connection before its request was complete")
    return _problem(400, "the request is incomplete; send it again")


async def _on_bug(request: Request, error: Exception) -> Response:
    _log.error("internal error at request %s", _id(request), exc_info=error)
    return _problem(500, "internal error; the endpoint's log has the details")


def _id(request: Request) -> str:
    """Return the API's id of the request, which its logs show, too."""
    return request_id(request.headers.get(CUSTOM_ATTRIBUTES, ""))


def _problem(status: int, detail: str) -> JSONResponse:
    problem: contract.ProblemDetails = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return JSONResponse(problem, status_code=status, media_type="application/problem+json")
