"""The Chromium that this machine has, driven by Playwright, whose own browsers are never downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

__all__ = ["chromium"]

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


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless Chromium that reaches this machine only; skip the test where there is none."""
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        pytest.skip("needs Chromium on the PATH: on Debian and Ubuntu, apt install chromium")

    with sync_playwright() as playwright:
        # A container's root user cannot have Chromium's sandbox.
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS, chromium_sandbox=False)
        yield browser
        browser.close()
