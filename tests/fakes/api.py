"""The API's function as API Gateway calls it, before an endpoint that answers as a test says."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error

__all__ = ["ANSWER", "NOT_FOUND", "REQUEST_ID", "FakeEndpoint", "call", "event", "refused"]

REQUEST_ID = "0f3c2c1e-6a53-4c0e-9d2b-0a4f8f1a2b3c"

ANSWER = {
    "label": "cat",
    "score": 0.9,
    "known": True,
    "distance": 0.5,
    "predictions": [{"label": "cat", "score": 0.9}],
    "model": {"run": "run-1", "release": "whippet-dev-run-1", "test_accuracy": 0.97},
}
NOT_FOUND = client_error("ValidationError", "Endpoint whippet-dev of account 123456789012 not found.")


class FakeEndpoint:
    """Runtime and control plane of one endpoint."""

    def __init__(self, answer: Any = ANSWER, status: str | None = "InService") -> None:
        self.answer, self.status = answer, status
        self.in_turn = isinstance(answer, list) and any(isinstance(each, Exception) for each in answer)
        """Whether the answers are given one after the other; otherwise a list is one answer."""
        self.asked: list[bytes] = []
        self.attributes: list[str] = []
        """What is asked about each image, without the request's id."""

    def invoke_endpoint(
        self,
        *,
        Body: bytes,  # noqa: N803
        ContentType: str,  # noqa: N803
        CustomAttributes: str,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        assert ContentType == "application/octet-stream"
        attributes = CustomAttributes.split(";")
        attributes.remove(f"request_id={REQUEST_ID}")
        self.asked.append(Body)
        self.attributes.append(";".join(attributes))
        answer = self.answer.pop(0) if self.in_turn else self.answer
        if isinstance(answer, Exception):
            raise answer
        return {"Body": io.BytesIO(json.dumps(answer).encode())}

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        if self.status is None:
            raise client_error("ValidationException", 'Could not find endpoint "whippet-dev".')
        return {
            "EndpointStatus": self.status,
            "EndpointConfigName": "whippet-dev-run-1",
            "LastModifiedTime": datetime(2026, 11, 28, 9, 30, tzinfo=UTC),
        }


def event(
    body: bytes | str | None, content_type: str | None = "image/jpeg", *, method: str = "POST", path: str = "/classify"
) -> dict[str, Any]:
    encoded = isinstance(body, bytes)
    return {
        "httpMethod": method,
        "path": path,
        "resource": path,
        "headers": {"Content-Type": content_type} if content_type else {},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "requestContext": {"requestId": REQUEST_ID, "httpMethod": method, "path": path, "stage": "v1"},
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": encoded,
    }


def call(
    monkeypatch: pytest.MonkeyPatch, endpoint: FakeEndpoint, request: dict[str, Any]
) -> tuple[int, Any, dict[str, Any]]:
    from classify import handler as classify  # after the environment variables, which it reads

    monkeypatch.setattr(classify.endpoint, "_runtime", endpoint)
    monkeypatch.setattr(classify.endpoint, "_sagemaker", endpoint)
    answer = classify.handler(request, Context())  # type: ignore[arg-type]
    headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    return answer["statusCode"], json.loads(answer["body"]), headers


def refused(
    monkeypatch: pytest.MonkeyPatch, endpoint: FakeEndpoint, request: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    status, body, headers = call(monkeypatch, endpoint, request)
    assert headers["Content-Type"] == "application/problem+json"
    assert set(body) - {"retry_after"} == {"type", "title", "status", "detail", "instance"}
    assert body["status"] == status
    assert body["instance"] == f"urn:uuid:{REQUEST_ID}"
    assert headers["X-Request-Id"] == REQUEST_ID
    assert headers.get("Retry-After", "None") == str(body.get("retry_after"))
    return body, headers
