"""The page of `whippet check` in a real browser: pictures, hostile names, no script, nothing from the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page
from typer.testing import CliRunner

import contract
from cli import main
from cli.commands import data
from tests.fakes import doctor
from tests.system.browser.conftest import OpenedPage

HOSTILE = "<img src=x onerror=alert(1)><script>document.title='taken over'</script>.jpg".replace("/", "\u2215")


@pytest.fixture
def page_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Callable[..., OpenedPage]
) -> Callable[[int], Page]:
    """Return a function that opens the page of a check with a finding of every kind, at a width."""
    monkeypatch.setattr(data, "STATE", tmp_path / "state")
    names = [f"photo-{number}-{'x' * 120}.jpg" for number in range(len(contract.FINDING_KINDS))] + [HOSTILE]
    for folder in ("<b>cat</b>", "dog"):
        for name in names:
            path = tmp_path / "photos" / folder.replace("/", "\u2215") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("photo")
    cat = "<b>cat<\u2215b>"
    findings: list[dict[str, str | None]] = [
        {"kind": kind, "path": f"{cat}/{name}", "other": f"dog/{name}", "reason": f"a reason of {name}"}
        for kind, name in zip(contract.FINDING_KINDS, names, strict=False)
    ]
    findings[1]["looks_like"] = "dog"
    findings.append({"kind": "odd", "path": f"dog/{HOSTILE}", "other": None, "reason": HOSTILE})
    doctor.install(tmp_path / "envs", monkeypatch, *findings, remarks=("<i>The classes</i> are out of balance.",))
    result = CliRunner().invoke(main.typer_app, ["check", str(tmp_path / "photos")])
    assert result.exit_code == 0, result.exception
    (file,) = (tmp_path / "state" / "checks").glob("*/check.html")

    def shown(width: int) -> Page:
        opened = open_page(file, width=width)
        assert opened.complaints == []
        assert opened.requests == [file.as_uri()]
        return opened.page

    return shown


def test_every_kind_is_shown_with_its_pictures_and_names_are_only_text(page_of: Callable[[int], Page]) -> None:
    page = page_of(1200)
    assert page.title().startswith("photos: check of the photos")
    assert page.locator("section").count() == len(contract.FINDING_KINDS)
    assert page.locator("nav a").count() == len(contract.FINDING_KINDS)
    assert page.locator(f".path:text-is({'dog/' + HOSTILE!r})").count() == 1
    assert page.locator(".remarks i, section b, section script").count() == 0
    assert "<i>The classes</i>" in page.locator(".remarks").inner_text()

    # all pictures there are can be seen
    page.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager' })")
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert widths
    assert set(widths) == {32}


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_is_cut_off_at_any_width(page_of: Callable[[int], Page], width: int) -> None:
    page = page_of(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = page.evaluate("""
        [...document.querySelectorAll("body *")].filter((element) => {
            const box = element.getBoundingClientRect();
            return box.width > 0 && (box.right > innerWidth + 0.5 || element.scrollWidth > element.clientWidth + 1
                && getComputedStyle(element).display !== "inline" && element.clientWidth > 0);
        }).map((element) => element.outerHTML.slice(0, 80))
    """)
    assert beyond == []
