"""API Gateway's own errors as problem details (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aws_cdk import aws_apigateway as apigateway

from infra.settings.api import ApiAuth

__all__ = ["PROBLEMS", "add_problems"]

_NO_ROUTE = (
    "404",
    "No such route",
    "The API has POST /classify, POST /uploads, GET /health and a page at GET / below the stage's path; GET "
    "/openapi.json lists all its routes.",
)

PROBLEMS: dict[str, tuple[str, str, str]] = {
    "INVALID_API_KEY": (
        "403",
        "No valid API key",
        "Send your key in the header x-api-key. The command in the stack's output ApiKeyCommand prints it.",
    ),
    "ACCESS_DENIED": ("403", "Access denied", "This caller is not allowed to use the API."),
    "MISSING_AUTHENTICATION_TOKEN": _NO_ROUTE,
    "REQUEST_TOO_LARGE": (
        "413",
        "Request too large",
        "An image may have 4.5 MB (serverless: 4 MB), and 3.5 MB in base64 as JSON: make it smaller, or POST /uploads.",
    ),
    "THROTTLED": ("429", "Too many requests", "The API's rate is exceeded: wait a second and try again."),
    "QUOTA_EXCEEDED": (
        "429",
        "Quota exceeded",
        "The key's requests for today are used up: try again tomorrow, or raise the setting api.daily_quota.",
    ),
    "BAD_REQUEST_BODY": ("400", "Unreadable request", "The body is not what the API takes: send an image's bytes."),
    "RESOURCE_NOT_FOUND": _NO_ROUTE,
    "UNSUPPORTED_MEDIA_TYPE": (
        "415",
        "Not an image",
        "Send the image's bytes with an image/* content type, or JSON with the image in base64.",
    ),
    "EXPIRED_TOKEN": ("403", "Access denied", "The request's signature has expired: send the key alone, unsigned."),
    "INVALID_SIGNATURE": ("403", "Access denied", "The request's signature is wrong: send the key alone, unsigned."),
    "API_CONFIGURATION_ERROR": ("500", "Internal error", "The API is set up wrongly: deploy the stack again."),
    "INTEGRATION_FAILURE": (
        "504",
        "No answer",
        "The API's function failed: try again. Its log has the reason.",
    ),
    "INTEGRATION_TIMEOUT": ("504", "No answer in time", "The model took too long: try again, or send a smaller image."),
    "DEFAULT_4XX": ("", "Request refused", "$context.error.message"),
    "DEFAULT_5XX": ("", "Internal error", "The API failed: try again. The reason is in its log group."),
}
"""The errors that API Gateway itself answers with, by type: status (empty: API Gateway's own), title and detail.

A body may hold the variables for mapping templates alone ("Variables for data transformations for API Gateway"). The
status is none of them, so that the two defaults, which stand for several, leave it out (RFC 9457 allows that).
"""

_OF_SIGNED_REQUESTS: dict[str, tuple[str, str, str]] = {
    "ACCESS_DENIED": (
        "403",
        "Access denied",
        "The identity that signed the request may not use the API: allow it execute-api:Invoke.",
    ),
    "MISSING_AUTHENTICATION_TOKEN": (
        "403",
        "Not signed, or no such route",
        "Sign the request with Signature Version 4 for the service execute-api, as whippet classify does. GET "
        "/openapi.json lists the routes.",
    ),
    "EXPIRED_TOKEN": ("403", "Access denied", "The request's signature has expired: sign it anew, by the right time."),
    "INVALID_SIGNATURE": (
        "403",
        "Access denied",
        "The request's signature is wrong: sign the method, path, query, headers and body that are sent, for the "
        "service execute-api and the API's Region.",
    ),
}
"""What is said instead where callers sign (`api.auth=iam`).

API Gateway has one error for a missing signature and a missing route ("Gateway response types for API Gateway").
"""

_RETRY_AFTER: dict[str, dict[str, str]] = {
    kind: {"Retry-After": "'1'"} for kind in ("THROTTLED", "INTEGRATION_TIMEOUT")
}
"""Header of the errors after which the same request may succeed, in seconds."""


def add_problems(rest: apigateway.RestApi, *, auth: ApiAuth, origins: Sequence[str]) -> None:
    """Let the API answer its own errors as problem details, which web pages of these origins may read."""
    cross_origin = _cross_origin(origins)
    problems = PROBLEMS | _OF_SIGNED_REQUESTS if auth == "iam" else PROBLEMS
    for kind, (status, title, detail) in problems.items():
        body: dict[str, str | int] = {
            "type": "about:blank",
            "title": title,
            "detail": detail,
            "instance": "urn:uuid:$context.requestId",
        }
        if status:
            body["status"] = int(status)
        # API Gateway puts a quoted string in this place.
        text = json.dumps(body).replace('"$context.error.message"', "$context.error.messageString")
        rest.add_gateway_response(
            "".join(part.title() for part in kind.split("_")),
            type=apigateway.ResponseType.of(kind),
            status_code=status or None,
            # API Gateway renders the application/json template whatever a client accepts.
            templates={"application/json": text},
            response_headers={
                "Content-Type": "'application/problem+json'",
                "X-Request-Id": "context.requestId",
                **_RETRY_AFTER.get(kind, {}),
                **cross_origin,
            },
        )


def _cross_origin(origins: Sequence[str]) -> dict[str, str]:
    """Return the headers by which a web page's script may read an error.

    A gateway response cannot choose: with several origins it names the page's own, whichever that is. These errors hold
    nothing of the API's, and a page of another origin fails at the preflight before.
    """
    if not origins:
        return {}
    allowed = f"'{origins[0]}'" if len(origins) == 1 else "'*'" if "*" in origins else "method.request.header.Origin"
    return {
        "Access-Control-Allow-Origin": allowed,
        "Access-Control-Expose-Headers": "'Retry-After,X-Request-Id'",
        "Vary": "'Origin'",
    }
