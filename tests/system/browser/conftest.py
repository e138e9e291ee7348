"""Pages in Chromium, and what they complained of and requested."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.system.browser.chromium import chromium

# The report's Lambda is imported with a region, and its log is kept quiet.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")


@dataclass
class OpenedPage:
    """A page, and everything that it complained of or requested since it was opened."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Uncaught exceptions, console errors and warnings, and what the Content-Security-Policy stopped."""
    requests: list[str] = field(default_factory=list)
    """URLs of everything that was loaded; Playwright leaves data: URLs out."""

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self.complaints.append(message.text)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium that reaches this machine only."""
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., OpenedPage]]:
    """Return a function that opens a file or an address in a new window; all windows close with the test."""
    contexts = []

    def open_place(
        place: Path | str,
        *,
        width: int,
        colours: Literal["light", "dark"] = "light",
        bypass_csp: bool = False,
        before: Callable[[Page], None] | None = None,
    ) -> OpenedPage:
        # As on a telephone, a narrow page is scaled to its window only where its viewport meta element says so.
        is_mobile = width < 600
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            is_mobile=is_mobile,
            has_touch=is_mobile,
            color_scheme=colours,
            timezone_id="UTC",
            bypass_csp=bypass_csp,
        )
        contexts.append(context)
        opened = OpenedPage(context.new_page())
        if before is not None:
            before(opened.page)
        opened.page.goto(place if isinstance(place, str) else place.as_uri())
        return opened

    yield open_place

    for context in contexts:
        context.close()
