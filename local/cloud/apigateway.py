"""API Gateway: AWS's size limits and time-out, and its answers when an integration fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from local.cloud import seam
from local.cloud.lambda_ import MAX_REQUEST_BYTES

__all__ = ["MAX_BODY_BYTES", "apply"]

MAX_BODY_BYTES: Final = 10 * 1024 * 1024
"""API Gateway quota: payload of a REST API."""

_TIMEOUT_SECONDS: Final = 29.0
"""API Gateway quota: integration time-out."""

_TOO_LARGE: Final = "HTTP content length exceeded 10485760 bytes."
_LAMBDA_TOO_LARGE: Final = "Request Too Long"


class _GatewayFailure(Exception):  # noqa: N818 - it becomes a gateway response
    """The request ends with a gateway response of this type."""

    def __init__(self, response_type: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.response_type = response_type
        self.message = message
        self.status = status
        """The status, if AWS's differs from that which ministack gives the type."""


_DEFAULT_MEDIA_TYPE: Final = "application/json"
"""What API Gateway takes a body without a `Content-Type` for (developer guide, "Content type conversions")."""


def apply() -> None:
    """Wrap the functions of ministack that answer requests to REST APIs."""
    api = seam.module("services.apigateway_v1")
    _wrap_media_types(api)
    _wrap_requests(api)
    _wrap_lambda(api)


def _wrap_media_types(api: Any) -> None:
    """Let a body without a content type reach a function as bytes where every type is binary.

    ministack hands it over as text then, in which each byte that is no UTF-8 has become a question mark.
    """
    matches = seam.expect(api, "_media_type_matches", "media_type", "binary_media_types")

    def media_type_matches(media_type: str | None, binary_media_types: Any) -> bool:
        return bool(matches(media_type or _DEFAULT_MEDIA_TYPE, binary_media_types))

    api._media_type_matches = media_type_matches


def _wrap_requests(api: Any) -> None:
    # check what is used of ministack
    execute = seam.expect(
        api,
        "_execute_in_scope",
        "request",
        "api_id",
        "stage_name",
        "method",
        "path",
        "headers",
        "body",
        "query_params",
        "owner_account_id",
        "owner_region",
    )
    gateway_error = seam.expect(api, "_GatewayError", "response_type", "message")
    render = seam.expect(api, "_gateway_error_response", "error", "request")
    seam.expect(api, "_stages_v1")
    types = seam.expect(api, "_GATEWAY_RESPONSE_TYPES")
    for needed in ("REQUEST_TOO_LARGE", "INTEGRATION_TIMEOUT", "DEFAULT_5XX"):
        if needed not in types:
            raise seam.SeamError(f"ministack's API Gateway has no gateway response {needed}")

    # refuse too large a body, and render failures as the gateway responses of the API
    async def execute_in_scope(
        request: dict[str, Any],
        api_id: str,
        stage_name: str,
        method: str,
        path: str,
        headers: Any,
        body: bytes,
        *rest: Any,
    ) -> Any:
        try:
            stage = api._stages_v1.get(api_id, {}).get(stage_name)
            if stage and len(body or b"") > MAX_BODY_BYTES:
                request["stage"] = stage
                raise _GatewayFailure("REQUEST_TOO_LARGE", _TOO_LARGE)
            return await execute(request, api_id, stage_name, method, path, headers, body, *rest)
        except _GatewayFailure as failure:
            error = gateway_error(failure.response_type, failure.message)
            status, answered, content = render(error, request)
            return failure.status or status, answered, content

    api._execute_in_scope = execute_in_scope


def _wrap_lambda(api: Any) -> None:
    call = seam.expect(api, "_call_lambda_raw", "function_ref", "event")
    shape = seam.expect(api, "_lambda_proxy_response", "result")

    async def call_lambda(function_ref: str, event: Mapping[str, Any], **scope: Any) -> Any:
        if len(json.dumps(event)) > MAX_REQUEST_BYTES:
            raise _GatewayFailure("REQUEST_TOO_LARGE", _LAMBDA_TOO_LARGE)
        # shielded, since on AWS the function goes on when the gateway gives up
        running = asyncio.ensure_future(call(function_ref, event, **scope))
        try:
            return await asyncio.wait_for(asyncio.shield(running), _TIMEOUT_SECONDS)
        except TimeoutError:
            raise _GatewayFailure("INTEGRATION_TIMEOUT", "Endpoint request timed out") from None

    def lambda_proxy_response(result: dict[str, Any]) -> Any:
        if not result.get("throttle") and (result.get("error") or not _is_proxy_response(result.get("body"))):
            # a raised exception and a malformed answer both become 502
            raise _GatewayFailure("DEFAULT_5XX", "Internal server error", status=502)
        return shape(result)

    api._call_lambda_raw = call_lambda
    api._lambda_proxy_response = lambda_proxy_response


def _is_proxy_response(answer: Any) -> bool:
    """Return whether a function's answer has the form that the Lambda proxy integration needs."""
    if not isinstance(answer, dict) or not str(answer.get("statusCode", "")).isdecimal():
        return False
    allowed = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded", "cookies"}
    return set(answer) <= allowed and isinstance(answer.get("body", ""), str | None)
