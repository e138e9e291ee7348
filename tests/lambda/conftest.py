"""What a function meets in AWS: its environment variables, its time, and CloudFormation."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.fakes.lambda_context import Context


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture
def pauses(context: Context, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that a function makes, in seconds; they are not waited for, but are taken from its time."""
    made: list[float] = []

    def sleep(seconds: float) -> None:
        made.append(seconds)
        context.remaining -= round(seconds * 1000)

    monkeypatch.setattr("time.sleep", sleep)
    return made


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "BUCKET": "data",
        "NAME_PREFIX": "whippet-dev",
        "ENDPOINT_NAME": "whippet-dev",
        "MIN_ACCURACY": "0.7",
        "MIN_CLASS_RECALL": "0.2",
        "TOLERANCE": "0.01",
        "SIGNIFICANCE": "0.05",
        "APPROVAL": "automatic",
        "CODE_VERSION": "c0de",
        "BLOCKING_RULES": '["Overfit"]',
        "RULES": '["Overfit", "AllZero", "CPUBottleneck"]',
        "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:topic",
        "READABLE_PREFIX": "",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A place that takes CloudFormation's answers: its URL, and what came."""
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/answer", came
    server.shutdown()
    thread.join()
    server.server_close()
