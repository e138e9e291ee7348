"""API Gateway before the classify function, on a port of this machine, and one endpoint that answers by a plan."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from infra.gateway_problems import PROBLEMS
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error

__all__ = ["KEY", "NOT_READY", "Endpoint", "Gateway", "Request", "answer", "model_error", "serve"]

KEY = "the-key-of-these-tests"

NOT_READY = client_error("ModelNotReadyException", "The container is being started.")


def answer(*predictions: tuple[str, float], **more: Any) -> dict[str, Any]:
    """Return a model's answer."""
    found = [{"label": label, "score": score} for label, score in predictions]
    return {**found[0], "known": True, "distance": 0.5, "predictions": found, **more}


def model_error(status: int, detail: str) -> Exception:
    """Return the error of an endpoint whose container answers with a problem."""
    message = json.dumps({"title": "Refused", "detail": detail})
    return client_error("ModelError", "The container refused.", OriginalStatusCode=status, OriginalMessage=message)


@dataclass
class Endpoint:
    """SageMaker's clients of one endpoint."""

    plan: list[Any]
    """Answers and errors in their order; the last stays."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    status: str = "InService"

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        given = self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]
        if isinstance(given, Exception):
            raise given
        return {"Body": io.BytesIO(json.dumps(given).encode())}

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        changed = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
        return {
            "EndpointStatus": self.status,
            "EndpointConfigName": "whippet-dev-1f0c9a52-7e-1",
            "LastModifiedTime": changed,
        }


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Gateway:
    """What the server was asked, and how it is to behave."""

    endpoint: Endpoint
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    needs_key: bool = True
    delay: float = 0.0
    """Seconds that each photo takes."""
    most_at_once: int = 0
    """Photos that were on their way at the same time."""

    def photos(self) -> list[Request]:
        return [request for request in self.requests if request.path == "/classify"]


@contextmanager
def serve(handler: Any, endpoint: Endpoint, *, needs_key: bool = True) -> Iterator[Gateway]:
    """Serve the function below /v1, as API Gateway serves it below its stage.

    Args:
        handler: The module of the classify function, whose clients are the endpoint's already.
        endpoint: The endpoint.
        needs_key: Whether all but the page needs the key.
    """
    gateway = Gateway(endpoint, needs_key=needs_key)
    one_at_a_time, counting, at_once = threading.Lock(), threading.Lock(), 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            """Keep the tests' output quiet."""

        def _answer(self) -> None:
            nonlocal at_once
            place = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            path = place.path.removeprefix("/v1") or "/"
            request = Request(self.command, path, dict(parse_qsl(place.query)), headers, body)
            gateway.requests.append(request)
            with counting:
                at_once += 1
                gateway.most_at_once = max(gateway.most_at_once, at_once)
            try:
                if path == "/classify":
                    time.sleep(gateway.delay)
                status, given, content = self._of_function(request) if self._may(request) else _refusal()
            finally:
                with counting:
                    at_once -= 1
            self.send_response(status)
            for name, value in {**given, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _may(self, request: Request) -> bool:
            return not gateway.needs_key or request.path == "/" or request.headers.get("x-api-key") == KEY

        def _of_function(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
            event = {
                "httpMethod": request.method,
                "path": request.path,
                "resource": request.path,
                "headers": request.headers,
                "multiValueHeaders": {name: [value] for name, value in request.headers.items()},
                "queryStringParameters": request.query or None,
                "multiValueQueryStringParameters": {name: [value] for name, value in request.query.items()} or None,
                "requestContext": {"requestId": "r", "httpMethod": request.method, "path": self.path, "stage": "v1"},
                "body": base64.b64encode(request.body).decode() or None,
                "isBase64Encoded": True,
            }
            with one_at_a_time:
                result = handler.handler(event, Context())
            headers = {name: values[0] for name, values in result["multiValueHeaders"].items()}
            body = result["body"] or ""
            return result["statusCode"], headers, base64.b64decode(body) if result["isBase64Encoded"] else body.encode()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()


def _refusal() -> tuple[int, Mapping[str, str], bytes]:
    status, title, detail = PROBLEMS["INVALID_API_KEY"]
    body = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
    return int(status), {"Content-Type": "application/problem+json"}, json.dumps(body).encode()
