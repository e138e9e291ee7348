"""Classify: POST /classify hands the image to the endpoint, GET /health says whether there is one, GET / is a page."""

from __future__ import annotations

import json
import os
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from contract import ServingMode

from .classifier_endpoint import ClassifierEndpoint
from .page import page
from .problems import Problem
from .request_image import read_request

__all__ = ["handler"]

logger = Logger()
app = APIGatewayRestResolver()
mode: ServingMode = "serverless" if os.environ["SERVING_MODE"] == "serverless" else "realtime"
endpoint = ClassifierEndpoint(os.environ["ENDPOINT_NAME"], mode=mode)


@app.post("/classify")
def classify() -> Response[str]:
    """Return the endpoint's answer to the image of the request."""
    request = read_request(app.current_event, mode=mode)
    answer = endpoint.classify(request)
    return Response(200, content_type="application/json", body=answer)


@app.get("/health")
def health() -> Response[str]:
    """Return the release in service, or a problem that says what to do."""
    return Response(200, content_type="application/json", body=json.dumps(endpoint.health()))


@app.get("/", compress=True)
def show_page() -> Response[str]:
    """Return the page on which people try the model."""
    served = page()
    return Response(200, content_type="text/html; charset=utf-8", body=served.html, headers=dict(served.headers))


def _answer(problem: Problem) -> Response[str]:
    logger.info("refused", extra={"status": problem.status, "detail": problem.detail})
    return Response(
        problem.status,
        content_type="application/problem+json",
        body=json.dumps(problem.details(), ensure_ascii=False),
        headers={"Retry-After": str(problem.retry_after)} if problem.retry_after else {},
    )


@app.exception_handler(Problem)  # type: ignore[untyped-decorator] # Powertools does not type it
def _problem(problem: Problem) -> Response[str]:
    return _answer(problem)


@app.exception_handler(NotFoundError)  # type: ignore[untyped-decorator]
def _no_route(_: NotFoundError) -> Response[str]:
    return _answer(Problem(404, "No such route", "This API has POST /classify, GET /health and a page at GET /."))


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def _broken(_: Exception) -> Response[str]:
    logger.exception("unexpected error")
    return _answer(Problem(500, "Internal error", "The API failed; try again. Its log has the reason.", retry_after=5))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer API Gateway's proxy event with a proxy response."""
    logger.info("request", extra={"method": event.get("httpMethod"), "path": event.get("path")})
    return app.resolve(event, context)
