"""Calls from web pages of other origins (CORS)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from classify import handler as classify

from tests.fakes.api import FakeEndpoint, event
from tests.fakes.lambda_context import Context

PAGE, OTHER = "https://photos.example", "https://other.example"


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The status and headers of an answer to a page of this origin, where these origins may call."""

    def answered(origins: str, origin: str | None, request: dict[str, Any]) -> tuple[int, dict[str, str]]:
        # the function reads the origins as it is loaded
        monkeypatch.setenv("CORS_ORIGINS", origins)
        importlib.reload(classify)
        for client in ("_runtime", "_sagemaker"):
            monkeypatch.setattr(classify.endpoint, client, FakeEndpoint())
        headers = {**request["headers"], **({"Origin": origin} if origin else {})}
        multi = {name: [value] for name, value in headers.items()}
        sent = {**request, "headers": headers, "multiValueHeaders": multi}
        found = classify.handler(sent, Context())  # type: ignore[arg-type]
        return found["statusCode"], {name: values[0] for name, values in found["multiValueHeaders"].items()}

    yield answered

    monkeypatch.setenv("CORS_ORIGINS", "")
    importlib.reload(classify)


PHOTO = event(b"image")
PREFLIGHT = event(None, None, method="OPTIONS")
REFUSED = event(b"hello", "text/plain")
BROKEN = event(None, None, method="GET", path="/nowhere")


@pytest.mark.parametrize(("request_event", "status"), [(PHOTO, 200), (PREFLIGHT, 204), (REFUSED, 415), (BROKEN, 404)])
@pytest.mark.parametrize("origins", [PAGE, f"https://first.example {PAGE}", "*"])
def test_a_page_that_may_call_reads_answers_and_errors(
    answer: Any, origins: str, request_event: dict[str, Any], status: int
) -> None:
    found, headers = answer(origins, PAGE, request_event)
    allowed = "*" if origins == "*" else PAGE
    assert (found, headers["Access-Control-Allow-Origin"], headers["Vary"]) == (status, allowed, "Origin")
    assert {"Retry-After", "X-Request-Id", "Whippet-Run"} <= set(headers["Access-Control-Expose-Headers"].split(","))


def test_a_preflight_allows_the_key_and_the_methods(answer: Any) -> None:
    _, headers = answer(PAGE, PAGE, PREFLIGHT)
    assert {"X-Api-Key", "Content-Type", "Authorization"} <= set(headers["Access-Control-Allow-Headers"].split(","))
    assert {"GET", "POST"} <= set(headers["Access-Control-Allow-Methods"].split(","))
    assert int(headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("request_event", [PHOTO, PREFLIGHT, REFUSED])
@pytest.mark.parametrize(("origins", "origin"), [("", PAGE), (PAGE, OTHER), (PAGE, None), (PAGE, f"{PAGE}.evil")])
def test_another_page_may_not(answer: Any, origins: str, origin: str | None, request_event: dict[str, Any]) -> None:
    _, headers = answer(origins, origin, request_event)
    assert "Access-Control-Allow-Origin" not in headers
