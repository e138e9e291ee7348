"""The page of the API, opened in Chromium in front of the real function and an endpoint that answers by a plan."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page

from tests.fakes.api_gateway import KEY, Endpoint, Gateway, answer, serve
from tests.system.browser.conftest import OpenedPage

__all__ = ["Show", "drop", "given", "photo", "state_of"]

BY_ANSWER = "Failed to load resource: "
"""What Chromium's console says of each answer from 400 on, and of none; the page knows what to do."""


def photo(width: int = 60, height: int = 40, *, kind: str = "JPEG", orientation: int | None = None) -> bytes:
    """Return a photo with a red top left corner, in a size and with an EXIF orientation."""
    pixels = np.full((height, width, 3), (40, 120, 200), np.uint8)
    pixels[: height // 2, : width // 2] = (220, 30, 30)
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    exif = image.getexif()
    if orientation:
        exif[0x0112] = orientation
    image.save(file, kind, exif=exif, quality=95)
    return file.getvalue()


def given(name: str, content: bytes, kind: str = "image/jpeg") -> FilePayload:
    """Return a file as Playwright hands it to an input."""
    return {"name": name, "mimeType": kind, "buffer": content}


def drop(page: Page, files: Sequence[tuple[str, bytes, str]], *, event: Literal["drop", "paste"] = "drop") -> None:
    """Drop files on the page as from another window, or paste them."""
    page.evaluate(
        """([files, event]) => {
            const held = new DataTransfer();
            for (const [name, content, type] of files) {
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                held.items.add(new File([bytes], name, {type}));
            }
            const options = {bubbles: true, cancelable: true};
            document.getElementById("drop").dispatchEvent(event === "drop"
                ? new DragEvent("drop", {...options, dataTransfer: held})
                : new ClipboardEvent("paste", {...options, clipboardData: held}));
        }""",
        [[(name, base64.b64encode(content).decode(), kind) for name, content, kind in files], event],
    )


def state_of(page: Page, kind: str, *, count: int = 1) -> None:
    """Wait until so many photos are in a state: busy, sure, unsure, unknown or failed."""
    page.wait_for_function(
        "([kind, count]) => document.querySelectorAll(`[data-state=${kind}]`).length === count", arg=[kind, count]
    )


class Show(Protocol):
    """Opens the page of an API whose model answers by a plan."""

    def __call__(
        self,
        *plan: Any,
        key: str | None = ...,
        width: int = ...,
        colours: Literal["light", "dark"] = ...,
        needs_key: bool = ...,
        bypass_csp: bool = ...,
        before: Callable[[Page], None] | None = ...,
    ) -> tuple[Page, Gateway]: ...


@pytest.fixture
def show(open_page: Callable[..., OpenedPage], monkeypatch: pytest.MonkeyPatch) -> Iterator[Show]:
    """Show the page; the test fails where it complained of anything, or asked another place than its API."""
    from classify import handler as classify

    monkeypatch.setattr(classify, "mode", "serverless")
    monkeypatch.setattr(classify.endpoint, "_is_serverless", True)
    servers = ExitStack()
    pages: list[tuple[Gateway, OpenedPage]] = []

    def shown(
        *plan: Any,
        key: str | None = KEY,
        width: int = 1000,
        colours: Literal["light", "dark"] = "light",
        needs_key: bool = True,
        bypass_csp: bool = False,
        before: Callable[[Page], None] | None = None,
    ) -> tuple[Page, Gateway]:
        endpoint = Endpoint(list(plan) or [answer(("whippet", 0.97), ("greyhound", 0.02), ("lamp", 0.01))])
        monkeypatch.setattr(classify.endpoint, "_runtime", endpoint)
        monkeypatch.setattr(classify.endpoint, "_sagemaker", endpoint)
        gateway = servers.enter_context(serve(classify, endpoint, needs_key=needs_key))
        opened = open_page(gateway.url, width=width, colours=colours, bypass_csp=bypass_csp, before=before)
        pages.append((gateway, opened))
        opened.page.wait_for_selector("#key-form:not([hidden])" if needs_key else "#model-line:not(:empty)")
        if needs_key and key is not None:
            opened.page.fill("#key", key)
            opened.page.click("#key-form button")
            opened.page.wait_for_selector("#key-form", state="hidden")
        return opened.page, gateway

    yield shown

    servers.close()
    for gateway, opened in pages:
        assert [text for text in opened.complaints if not text.startswith(BY_ANSWER)] == []
        hosts = {urlsplit(url).netloc for url in opened.requests if not url.startswith(("blob:", "data:"))}
        assert hosts == {urlsplit(gateway.url).netloc}
