"""Faults for requests over HTTP, whoever sends them: clients, Lambdas, jobs and endpoints.

A request that the gate and IAM let through passes here before its service sees it. The calls that the state machine
makes itself are hit in `local.cloud.stepfunctions.faults`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from local.cloud import seam
from local.cloud.request_operation import called_operation, signing_name
from local.control import LOOPBACK
from local.sagemaker.account import Account, DocumentError
from local.sagemaker.account.document import ErrorAnswer, Fault
from local.sagemaker.account.faults import INTERNAL_FAILURE
from local.sagemaker.account.operations import SERVICES, service_model

__all__ = ["LostAnswers", "apply"]

_WRONG_DOCUMENT: Final = "InvalidAccountDocument"
"""The error of every request while the account document is wrong."""

Response = tuple[int, dict[str, str], Any]
Handler = Callable[..., Awaitable[Response]]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class _ConnectionLost(BaseException):
    """The answer is not sent; `LostAnswers` breaks the connection."""


def apply(account: Account, *, port: int) -> None:
    """Wrap the functions with which ministack's services answer requests.

    Args:
        account: the account, with its faults.
        port: the server's port. Calls within ministack have AWS's host names instead of the server's.
    """
    handlers = seam.expect(seam.module("app"), "SERVICE_HANDLERS")
    hosts = {f"{LOOPBACK}:{port}", f"localhost:{port}"}
    for name, handler in handlers.items():
        handlers[name] = _faulty(handler, account, hosts)


def _faulty(handler: Handler, account: Account, hosts: set[str]) -> Handler:
    async def answer(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, list[str]]
    ) -> Response:
        if headers.get("host") not in hosts:
            return await handler(method, path, headers, body, query_params)
        try:
            fault = _fault(account, method, path, headers, body, query_params)
        except DocumentError as error:
            wrong = ErrorAnswer(code=_WRONG_DOCUMENT, message=str(error), status=400)
            return _error_response(wrong, headers, query_params)

        if fault is None:
            return await handler(method, path, headers, body, query_params)
        await asyncio.sleep(fault.delay_seconds)
        if fault.error is not None:
            return _error_response(fault.error, headers, query_params)

        # carry it out, and lose the answer
        response = await handler(method, path, headers, body, query_params)
        if fault.lost_answer == "connection":
            raise _ConnectionLost
        if fault.lost_answer == "internal_failure":
            return _error_response(ErrorAnswer(*INTERNAL_FAILURE), headers, query_params)
        return response

    return answer


def _fault(
    account: Account,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    query_params: Mapping[str, list[str]],
) -> Fault | None:
    """Return the fault that hits the request.

    Raises:
        DocumentError: the account document is wrong.
    """
    if not account.faults.any:
        return None
    called = called_operation(method, path, headers, body, query_params)
    return account.faults.hit(*called) if called else None


class LostAnswers:
    """The outermost ASGI application, which breaks the connection of every request whose answer a fault loses.

    hypercorn closes a connection whose application has begun an answer and ends without finishing it, and answers with
    status 500 if it has not begun. So its stream is told that an answer has begun, though no byte of one was sent.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        stream = importlib.import_module("hypercorn.protocol.http_stream")
        self._stream = seam.expect(stream, "HTTPStream", "app", "config")
        self._begun = seam.expect(seam.expect(stream, "ASGIHTTPState"), "RESPONSE")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the request."""
        try:
            await self._application(scope, receive, send)
        except _ConnectionLost:
            stream = getattr(send, "__self__", None)
            if not isinstance(stream, self._stream):
                raise seam.SeamError("hypercorn does not hand its HTTPStream.app_send to the application") from None
            stream.state = self._begun


def _error_response(error: ErrorAnswer, headers: Mapping[str, str], query: Mapping[str, list[str]]) -> Response:
    """Return an error as the client of the request's service reads it."""
    scope = signing_name(headers, query)
    service = next((name for name in SERVICES if service_model(name).signing_name == scope), None)
    protocol = service_model(service).protocol if service else "json"
    code, message = escape(error.code), escape(error.message)
    answered = {"x-amzn-ErrorType": error.code}

    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        content = b"\xa2" + b"".join(map(_cbor_text, ("__type", error.code, "message", error.message)))
        return error.status, {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}, content
    if service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return error.status, {"Content-Type": "application/xml"}, text.encode()
    if protocol == "query":
        who = "Sender" if error.status < 500 else "Receiver"
        text = f"<Error><Type>{who}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        text = f"<ErrorResponse>{text}<RequestId>fault</RequestId></ErrorResponse>"
        return error.status, {"Content-Type": "text/xml"}, text.encode()
    content_type = "application/json" if protocol == "rest-json" else "application/x-amz-json-1.1"
    payload = {"__type": error.code, "message": error.message, "Message": error.message}
    return error.status, {"Content-Type": content_type, **answered}, json.dumps(payload).encode()


def _cbor_text(text: str) -> bytes:
    """Return a text of up to 65535 bytes in CBOR (RFC 8949, major type 3)."""
    encoded = text.encode()[:65535]
    return b"\x79" + len(encoded).to_bytes(2, "big") + encoded
