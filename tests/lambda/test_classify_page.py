"""GET / of the API: the page as it is served, and the headers that let nothing else into it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from classify import handler as classify
from classify.page import page

from tests.fakes.lambda_context import Context


class Parts(HTMLParser):
    """Elements with their attributes, and what stands in `style` and `script`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.content: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag = self.elements[-1][0] if self.elements else ""
        if tag in ("style", "script") and tag not in self.content:
            self.content[tag] = data


def get(path: str = "/", **headers: str) -> dict[str, Any]:
    event = {
        "httpMethod": "GET",
        "path": path,
        "resource": path,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "requestContext": {"requestId": "r", "httpMethod": "GET", "path": f"/v1{path}", "stage": "v1"},
        "body": None,
        "isBase64Encoded": False,
    }
    return classify.handler(event, Context())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def served() -> dict[str, Any]:
    return get()


def policy(served: dict[str, Any]) -> dict[str, str]:
    (value,) = served["multiValueHeaders"]["Content-Security-Policy"]
    return dict(entry.split(" ", 1) for entry in value.split("; "))


def test_the_page_is_one_file_of_html(served: dict[str, Any]) -> None:
    assert served["statusCode"] == 200
    assert served["multiValueHeaders"]["Content-Type"] == ["text/html; charset=utf-8"]
    assert served["body"].startswith("<!doctype html>")
    assert "/* style */" not in served["body"]
    assert "/* script */" not in served["body"]


def test_nothing_runs_or_loads_but_what_the_page_brought(served: dict[str, Any]) -> None:
    given = policy(served)
    assert given.pop("default-src") == "'none'"
    assert given.pop("connect-src") == "'self'"
    assert given.pop("img-src") == "blob: data:"
    assert {given.pop(name) for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert (given.pop("require-trusted-types-for"), given.pop("trusted-types")) == ("'script'", "'none'")
    parts = Parts(served["body"])
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(parts.content[tag].encode()).digest()).decode()
        assert given.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert given == {}

    headers = served["multiValueHeaders"]
    assert headers["X-Content-Type-Options"] == ["nosniff"]
    assert headers["Referrer-Policy"] == ["no-referrer"]
    assert headers["Cross-Origin-Opener-Policy"] == ["same-origin"]


def test_the_page_names_no_other_place_and_has_no_inline_handler_or_style(served: dict[str, Any]) -> None:
    parts = Parts(served["body"])
    for tag, attributes in parts.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    addresses = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"')]*", served["body"]))
    assert addresses == {"http://www.w3.org/2000/svg"}, "the namespace of SVG, which nothing loads"
    assert "@import" not in parts.content["style"]


def test_a_label_has_no_way_to_become_html(served: dict[str, Any]) -> None:
    script = Parts(served["body"]).content["script"]
    ways = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|\beval\b|Function\("
    )
    assert re.findall(ways, script) == []


def test_the_page_is_compressed_for_browsers_that_take_it(served: dict[str, Any]) -> None:
    compressed = get(**{"Accept-Encoding": "gzip, deflate, br"})
    assert compressed["isBase64Encoded"] is True
    assert compressed["multiValueHeaders"]["Content-Encoding"] == ["gzip"]
    assert compressed["multiValueHeaders"]["Content-Security-Policy"] == [
        page(feedback_days=0).headers["Content-Security-Policy"]
    ]
    sent = base64.b64decode(compressed["body"])
    assert gzip.decompress(sent).decode() == served["body"]
    assert len(sent) < 20_000


def test_a_route_that_is_not_there_names_the_page() -> None:
    assert "GET /" in get("/index.html")["body"]
