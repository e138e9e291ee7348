"""Pages in the Chromium that this machine has, driven by Playwright, whose own browsers are never downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

# The report's Lambda is imported with a region, and its log is kept quiet.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
"""What distributions call the program; Debian calls it chromium."""
CHROMIUM_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    # no name resolves and no other address is taken, so that nothing outside this machine can be reached
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-first-run",
    "--no-proxy-server",
)


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
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        pytest.skip("needs Chromium on the PATH: on Debian and Ubuntu, apt install chromium")

    with sync_playwright() as playwright:
        # A container's root user cannot have Chromium's sandbox.
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., OpenedPage]]:
    """Return a function that opens a file or an address in a new window; all windows close with the test."""
    contexts = []

    def open_place(
        place: Path | str,
        *,
        width: int,
        colours: Literal["light", "dark"] = "light",
        before: Callable[[Page], None] | None = None,
    ) -> OpenedPage:
        # As on a telephone, a narrow page is scaled to its window only where its viewport meta element says so.
        is_mobile = width < 600
        context = browser.new_context(
            viewport={"width": width, "height": 900}, is_mobile=is_mobile, has_touch=is_mobile, color_scheme=colours
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
