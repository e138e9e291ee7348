"""Classify: POST /classify hands images to the endpoint, POST /feedback keeps their right labels, GET / is a page."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from contract import Answer, ServingMode

from .batch import classify_all
from .classifier_endpoint import ClassifierEndpoint
from .cross_origin import cross_origin
from .feedback import FeedbackInbox
from .model_headers import model_headers
from .page import page
from .problems import Problem
from .request_feedback import read_feedback
from .request_image import ImageRequest, read_request
from .request_json import Stored
from .uploads import Uploads

__all__ = ["handler"]

logger = Logger()
app = APIGatewayRestResolver(cors=cross_origin(os.environ["CORS_ORIGINS"]))
mode: ServingMode = "serverless" if os.environ["SERVING_MODE"] == "serverless" else "realtime"
endpoint = ClassifierEndpoint(
    os.environ["ENDPOINT_NAME"],
    mode=mode,
    sleep_record=os.environ["SLEEP_RECORD"],
    env=os.environ["ENVIRONMENT"],
)
uploads = Uploads(os.environ["UPLOADS_BUCKET"], mode=mode)
inbox = FeedbackInbox(os.environ["UPLOADS_BUCKET"], days=int(os.environ["FEEDBACK_DAYS"]))

_TO_ANSWER: Final = 3.0
"""Seconds that are kept for a cold start, which API Gateway counts and Lambda does not, and for the way back."""


@app.post("/classify")
def classify() -> Response[str]:
    """Return the endpoint's answer to the image of the request, or to each of several."""
    images = read_request(app.current_event, mode=mode)
    ask = partial(_ask, request_id=_request_id())
    if images.is_batch:
        seconds = app.lambda_context.get_remaining_time_in_millis() / 1000 - _TO_ANSWER
        answers = classify_all(ask, images, seconds=seconds)
        first = next((each["answer"] for each in answers["answers"] if "answer" in each), None)
        return _json(answers, model_headers(first))
    answer = ask(images.only)
    return _json(answer, model_headers(answer))


def _ask(request: ImageRequest, *, request_id: str) -> Answer:
    """Return the endpoint's answer to one image, which is read only now if it was uploaded."""
    return endpoint.classify(_bytes(request.image), request.parameters, request_id=request_id)


def _bytes(image: bytes | Stored) -> bytes:
    return image if isinstance(image, bytes) else uploads.read(image.key)


@app.post("/uploads")
def upload() -> Response[str]:
    """Return where and how a photo can be uploaded that is larger than a request may be."""
    return _json(uploads.begin(), {})


@app.post("/feedback")
def give_feedback() -> Response[str]:
    """Keep a photo with its right label, where the environment does, for a person to review."""
    inbox.check_open()
    given = read_feedback(app.current_event, mode=mode)
    return _json(inbox.keep(given, _bytes(given.photo)), {}, status=201)


@app.get("/openapi.json")
def openapi() -> Response[str]:
    """Return the API's description."""
    from .openapi import document  # only here, since a cold start need not pay for it

    auth: Any = os.environ["API_AUTH"]
    return _json(document(auth, feedback=inbox.days > 0), {})


@app.get("/health")
def health() -> Response[str]:
    """Return the release in service, or a problem that says what to do."""
    return _json(endpoint.health(), {})


def _json(content: object, headers: dict[str, str], *, status: int = 200) -> Response[str]:
    body = json.dumps(content, ensure_ascii=False)
    return Response(status, content_type="application/json", body=body, headers=headers)


@app.get("/", compress=True)
def show_page() -> Response[str]:
    """Return the page on which people try the model."""
    served = page(feedback_days=inbox.days)
    return Response(200, content_type="text/html; charset=utf-8", body=served.html, headers=dict(served.headers))


def _answer(problem: Problem) -> Response[str]:
    logger.info("refused", extra={"status": problem.status, "title": problem.title, "detail": problem.detail})
    details = {**problem.details(), "instance": f"urn:uuid:{_request_id()}"}
    return Response(
        problem.status,
        content_type="application/problem+json",
        body=json.dumps(details, ensure_ascii=False),
        headers={"Retry-After": str(problem.retry_after)} if problem.retry_after else {},
    )


def _request_id() -> str:
    """Return API Gateway's id of the request, which its access log shows."""
    return app.current_event.request_context.request_id


@app.exception_handler(Problem)  # type: ignore[untyped-decorator] # Powertools does not type it
def _problem(problem: Problem) -> Response[str]:
    return _answer(problem)


@app.exception_handler(NotFoundError)  # type: ignore[untyped-decorator]
def _no_route(_: NotFoundError) -> Response[str]:
    if allowed := _methods(app.current_event.path):
        wanted = ", ".join(allowed)
        response = _answer(Problem(405, "Wrong method", f"{app.current_event.path[:50]} takes {wanted}."))
        response.headers["Allow"] = wanted
        return response
    feedback = "POST /feedback, " if inbox.days else ""
    routes = f"POST /classify, POST /uploads, {feedback}GET /health, GET /openapi.json and a page at GET /"
    return _answer(Problem(404, "No such route", f"This API has {routes}."))


def _methods(path: str) -> list[str]:
    """Return the methods of a route; none where there is no such route."""
    routes = [*app._static_routes, *app._dynamic_routes]
    return sorted({route.method for route in routes if route.path == path})


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def _broken(_: Exception) -> Response[str]:
    logger.exception("unexpected error")
    return _answer(Problem(500, "Internal error", "The API failed; try again. Its log has the reason.", retry_after=5))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer API Gateway's proxy event with a proxy response, which carries the request's id."""
    logger.info("request", extra={"method": event.get("httpMethod"), "path": event.get("path")})
    response = app.resolve(event, context)
    response["multiValueHeaders"]["X-Request-Id"] = [event["requestContext"]["requestId"]]
    if os.environ["CORS_ORIGINS"]:
        # a cache must not give one page's answer to another
        response["multiValueHeaders"]["Vary"] = ["Origin"]
    return response
