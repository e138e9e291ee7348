"""The page of the API for everyone: axe-core finds nothing, a keyboard is enough, and every width and scheme fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page

from tests.fakes.api_gateway import NOT_READY, answer, model_error
from tests.system.browser.page.conftest import Show, given, photo, state_of

AXE = Path(__file__).resolve().parents[4] / "node_modules" / "axe-core" / "axe.min.js"

LONG = "a-class-with-a-name-that-does-not-end-" * 6
HEAT_MAP = {"label": LONG, "values": [[1.0, -0.5], [0.5, 0.25]], "crop": 0.875}
MODEL = {"release": "whippet-dev-1f0c9a52-7e-1", "test_accuracy": 0.9, "run": "1f0c9a52-7e"}
SURE = answer((LONG, 0.9), ("hat", 0.1), heat_map=HEAT_MAP, labels=[LONG], model=MODEL)
UNKNOWN = {**SURE, "known": False, "reason": "the photo is unlike those that the model was trained on"}
UNSURE = {**SURE, "labels": [LONG, "hat"]}
REFUSED = model_error(415, f"the image cannot be read: {LONG}")


def everything(
    show: Show, *, width: int, colours: Literal["light", "dark"] = "light", bypass_csp: bool = False
) -> Page:
    """Show the page with each of its states at once: answers of every kind, a refusal, a wait, and the model's card."""
    page, _ = show(SURE, UNKNOWN, UNSURE, REFUSED, NOT_READY, width=width, colours=colours, bypass_csp=bypass_csp)
    for count, kind in enumerate(("sure", "unknown", "unsure", "failed"), 1):
        page.set_input_files("#file", [given(f"{LONG}.jpg", photo())])
        state_of(page, kind)
        assert page.locator(".photo").count() == count
    page.set_input_files("#file", [given("dog.jpg", photo(60, 400))])
    page.wait_for_selector("#pause:not([hidden])")
    page.locator("text=Show where it looked").last.click()
    page.click("#model summary")
    return page


def findings(page: Page) -> list[Any]:
    """Return what axe-core finds: its rules for WCAG 2.2 A and AA, and its best practices.

    It makes functions of texts, which the page's policy forbids.
    """
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(found["passes"]) > 10, "the rules have run"
    return [(item["id"], [node["html"][:200] for node in item["nodes"]]) for item in found["violations"]]


@pytest.mark.parametrize("width", [390, 1000])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing(show: Show, width: int, colours: Literal["light", "dark"]) -> None:
    assert findings(everything(show, width=width, colours=colours, bypass_csp=True)) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_where_the_key_is_asked_for(show: Show, colours: Literal["light", "dark"]) -> None:
    page, _ = show(key=None, colours=colours, bypass_csp=True)
    assert findings(page) == []
    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key-error:not(:empty)")
    assert findings(page) == []


def test_the_page_follows_the_colour_scheme(show: Show) -> None:
    seen = set()
    for colours in ("light", "dark"):
        page, _ = show(colours=colours)
        seen.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert seen == {"rgb(245, 246, 248)", "rgb(18, 22, 27)"}


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_nothing_is_cut_off_at_any_width(show: Show, width: int) -> None:
    page = everything(show, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = page.evaluate("""
        [...document.querySelectorAll("body *:not(.only-read):not(input):not(template)")].filter((element) => {
            const box = element.getBoundingClientRect();
            return box.width > 0 && (box.right > innerWidth + 0.5 || element.scrollWidth > element.clientWidth + 1
                && getComputedStyle(element).display !== "inline" && element.clientWidth > 0);
        }).map((element) => element.outerHTML.slice(0, 80))
    """)
    assert beyond == []


def focused(page: Page) -> str:
    """Return what has the focus: an id, or the text."""
    return str(page.evaluate("document.activeElement.id || document.activeElement.innerText"))


def test_a_keyboard_is_enough_and_goes_from_top_to_bottom(show: Show) -> None:
    page, _ = show(SURE)
    with page.expect_file_chooser() as chosen:
        page.focus("#file")
        page.keyboard.press("Enter")
    chosen.value.set_files([given("dog.jpg", photo())])
    state_of(page, "sure")
    assert focused(page) == "file", "an answer takes no focus away"

    order = []
    for _ in range(4):
        page.keyboard.press("Tab")
        order.append(focused(page).split("\n")[0])
    assert order == ["clear", "Show where it looked", "About the model", "forget-key"]

    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.is_visible("#model-class-list")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert page.is_visible(".heat")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.locator(".photo").count() == 0
    assert focused(page) == "file"


def test_what_has_the_focus_can_be_seen(show: Show) -> None:
    page, _ = show(SURE)
    assert focused(page) == "file", "after the key, a person chooses photos"
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "file"
    outline = page.evaluate("getComputedStyle(document.getElementById('file').parentElement).outlineStyle")
    assert outline == "solid", "the input is not seen, its label is"


def test_a_screen_reader_hears_each_answer_once(show: Show) -> None:
    page, _ = show(SURE, UNKNOWN)
    page.evaluate("""
        window.heard = [];
        new MutationObserver(() => heard.push(document.getElementById("live").textContent))
            .observe(document.getElementById("live"), {childList: true});
    """)
    for kind in ("sure", "unknown"):
        page.set_input_files("#file", [given(f"{kind}.jpg", photo())])
        state_of(page, kind)
    page.wait_for_function("() => heard.length === 4")
    assert page.evaluate("heard") == [
        "sure.jpg was taken.",
        f"sure.jpg: {LONG}. 90 % sure",
        "unknown.jpg was taken.",
        "unknown.jpg: Unlike anything it was trained on. The photo is unlike those that the model was trained on.",
    ]
    assert page.get_attribute("#live", "role") == "status"
