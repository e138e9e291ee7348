"""Who may reach the local cloud: AWS clients of this machine that hold a key of this start.

Whatever a developer's browser shows can send requests to 127.0.0.1, and so can every user of the machine. Whoever may
create and invoke a Lambda function runs code as the developer, so a request has to pass here before ministack sees it:
it names this server as its host (against DNS rebinding), comes from no foreign web page (`Origin`, `Sec-Fetch-Site`),
and carries the access key ID of the administrator, an IAM user or a role's session. The stack's own API is open, as on
AWS: API keys or IAM guard it there, and it says itself which web pages may call it (CORS). So are forms that upload to
a bucket, whose key is in the form (see `form_uploads`): the bucket's CORS rules say which pages' scripts may read the
answer, and send more than a form.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from local.cloud import seam
from local.control import HEALTH_PATH, IDENTITY_PATH, LOOPBACK

__all__ = ["Gate", "admit_one_administrator"]

_API_PATH: Final = "/_aws/execute-api/"
_CUSTOM_RESOURCE_PATH: Final = "/_ministack/cfn-response/"
"""Where a custom resource's function puts its answer, below a random token: a presigned URL on AWS."""

_XML_SERVICES: Final = ("cloudformation", "iam", "monitoring", "s3", "sns", "sts")
"""Signing names of the services whose clients read errors as XML; those of all others read JSON."""

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def admit_one_administrator() -> None:
    """Let the key of this start, and no other, be the account's administrator.

    ministack also takes `test` and every number of twelve digits for an administrator's key. The key of this start is
    `AWS_ACCESS_KEY_ID` of the environment that ministack was imported in.
    """
    evaluator = seam.module("core.iam_evaluator")
    configured = os.environ["AWS_ACCESS_KEY_ID"]
    seam.expect(evaluator, "is_root_access_key", "access_key_id")

    def is_root_access_key(access_key_id: str) -> bool:
        # Calls that ministack makes to itself carry no key; those of others do not pass the gate without one.
        return not access_key_id or access_key_id == configured

    evaluator.is_root_access_key = is_root_access_key


class Gate:
    """An ASGI application before another one, which sees only requests that may be answered."""

    def __init__(self, application: Application, *, port: int) -> None:
        self._application = application
        self._hosts = {f"{LOOPBACK}:{port}", f"localhost:{port}"}
        evaluator, router = seam.module("core.iam_evaluator"), seam.module("core.router")
        self._access_key = seam.expect(router, "extract_access_key_id", "headers", "query_params")
        self._resolve = seam.expect(evaluator, "resolve_credential", "access_key_id", "account_id", "session_token")
        self._resolved = seam.expect(evaluator, "ResolvedCredential")
        self._bucket = seam.expect(seam.module("services.s3"), "_ensure_bucket", "name")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to a request that may not pass, and hand on every other."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            # No service of the stack speaks WebSocket, and a browser opens one to any address.
            await send({"type": "websocket.close", "code": 1008})
            return

        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        judges_pages = scope["path"].startswith(_API_PATH) or self._is_form_for_bucket(scope, headers)
        refusal = self._refusal(scope, headers, judges_pages=judges_pages)
        if refusal:
            await _forbid(send, refusal, scope)
            return
        await self._application(scope, receive, send if judges_pages else _without_cors(send))

    def _refusal(self, scope: Scope, headers: Mapping[str, str], *, judges_pages: bool) -> str | None:
        """Say why the request may not pass; None if it may.

        `judges_pages`: whether what it is for says itself which web pages may call it.
        """
        path, method = scope["path"], scope["method"]

        # Is it meant for this server, and for what judges for itself?
        host = headers.get("host", "")
        if host not in self._hosts:
            return f"the request is for host {host!r}, not for this server; use http://127.0.0.1:PORT"
        if judges_pages:
            return None

        # Does no foreign page send it?
        origin = headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in self._hosts:
            return f"a web page of {origin} may not call the local cloud"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "a web page of another origin may not call the local cloud"

        # Is it one that needs no key, or is its key known?
        if path in (IDENTITY_PATH, HEALTH_PATH) and method == "GET":
            return None
        if path.startswith(_CUSTOM_RESOURCE_PATH) and method == "PUT":
            return None
        if path.startswith(("/_ministack/", "/_localstack/")):
            return "the local cloud is not steered by requests; use `whippet down` and `whippet up`"
        key = self._access_key(headers, parse_qs(scope["query_string"].decode("latin-1")))
        if not key or not isinstance(self._resolve(key), self._resolved):
            return (
                "the request carries no access key ID of this local cloud, which makes a new one at each start; "
                'set the environment with eval "$(whippet env)"'
            )
        return None

    def _is_form_for_bucket(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        """Return whether a request is a form for a bucket, which S3 judges by its signature, or its preflight."""
        if scope["query_string"] or self._bucket(scope["path"].strip("/")) is None:
            return False
        if scope["method"] == "OPTIONS":
            return headers.get("access-control-request-method") == "POST"
        is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        leads_elsewhere = headers.keys() & {"authorization", "x-amz-target"}
        return scope["method"] == "POST" and is_form and not leads_elsewhere


async def _forbid(send: Send, message: str, scope: Scope) -> None:
    """Answer 403 in the form that the client of the request's service reads."""
    if any(_signed_for(scope, service) for service in _XML_SERVICES):
        error = f"<Code>AccessDenied</Code><Message>{escape(message)}</Message>"
        body, content_type = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode(), b"text/xml"
    else:
        body = json.dumps({"__type": "AccessDeniedException", "message": message}).encode()
        content_type = b"application/x-amz-json-1.1"
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-errortype", b"AccessDeniedException"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _signed_for(scope: Scope, service: str) -> bool:
    """Tell whether the request is signed for a service, by its scope KEY/DATE/REGION/SERVICE/aws4_request."""
    mark = f"/{service}/aws4_request".encode()
    return any(name.lower() == b"authorization" and mark in value for name, value in scope["headers"])


def _without_cors(send: Send) -> Send:
    """Return `send` without the `Access-Control-*` headers that ministack adds for any origin."""

    async def sender(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [
                (name, value) for name, value in message["headers"] if not name.lower().startswith(b"access-control-")
            ]
            message = {**message, "headers": kept}
        await send(message)

    return sender
