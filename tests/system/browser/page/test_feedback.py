"""\"Wrong? Tell us\" on the page in a real browser: there only where photos are kept, and kept only after a yes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.fakes.api_gateway import answer
from tests.fakes.s3 import client_error
from tests.system.browser.page.conftest import Show, given, photo, state_of
from tests.system.browser.page.test_access import findings
from tests.system.browser.page.test_answers import HOSTILE

BUTTON = "text=Wrong? Tell us"
LONG = "a-class-with-a-name-that-does-not-end-" * 6
MODEL = {"release": "whippet-dev-run-1", "test_accuracy": 0.9, "run": "run-1"}
ANSWER = answer(("whippet", 0.97), ("greyhound", 0.02), (HOSTILE, 0.01), model=MODEL)


class Bucket:
    """What the function puts, unless it is to fail."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fails = False

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803
        if self.fails:
            raise client_error("SlowDown", "Please reduce your request rate.", status=503)
        self.objects[Key] = Body

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(body) for key, body in self.objects.items() if key.endswith(".json")]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The bucket of an environment that takes feedback."""
    from classify import handler as classify
    from classify.feedback import FeedbackInbox

    made, inbox = Bucket(), FeedbackInbox("data", days=90)
    monkeypatch.setattr(inbox, "_s3", made)
    monkeypatch.setattr(classify, "inbox", inbox)
    return made


def answered(show: Show, **options: Any) -> Page:
    page, _ = show(ANSWER, **options)
    page.set_input_files("#file", [given("dog.jpg", photo())])
    state_of(page, "sure")
    return page


def test_without_the_setting_there_is_no_control(show: Show) -> None:
    page = answered(show)
    assert page.locator(BUTTON).count() == 0
    assert page.locator("main form.feedback").count() == 0


def test_a_keyboard_is_enough_to_say_what_a_photo_shows(show: Show, bucket: Bucket) -> None:
    page = answered(show)
    page.focus(BUTTON)
    page.keyboard.press("Enter")
    assert page.get_attribute(BUTTON, "aria-expanded") == "true"
    assert page.evaluate("document.activeElement.name") == "label"
    words = page.inner_text(".feedback")
    for said in ("may be kept", "looked at", "train it", "90 days"):
        assert said in words
    page.keyboard.type(" greyhound ")
    page.keyboard.press("Enter")
    assert bucket.objects == {}, "nothing is kept without a yes"
    assert page.evaluate("document.activeElement.name") == "consent", "which the browser leads to"

    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".thanks")
    assert page.evaluate("document.activeElement.className") == "thanks"
    assert page.inner_text(".thanks").startswith("Thank you.")
    assert page.locator(BUTTON).count() == 0
    (record,) = bucket.records()
    assert {name: record[name] for name in ("label", "answered", "run", "request_id", "consent")} == {
        "label": "greyhound",
        "answered": "whippet",
        "run": "run-1",
        "request_id": "r",
        "consent": True,
    }
    assert bucket.objects[record["photo"]] == photo()


def test_the_models_classes_are_suggested_and_another_is_taken_too(show: Show, bucket: Bucket) -> None:
    page = answered(show)
    suggested = page.eval_on_selector_all("#classes option", "(options) => options.map((option) => option.value)")
    assert sorted(suggested) == sorted(["whippet", "greyhound", HOSTILE])
    page.click(BUTTON)
    assert page.evaluate("document.querySelector('main form.feedback').elements.label.list.id") == "classes"
    page.fill("main [name=label]", "a new kind <b>")
    page.check("main [name=consent]")
    page.click("main .feedback [type=submit]")
    page.wait_for_selector(".thanks")
    assert bucket.records()[0]["label"] == "a new kind <b>"
    assert page.locator("main b:not(.legend b), datalist img").count() == 0
    assert page.title() == "What is in the photo?"


def test_a_label_of_spaces_is_not_sent(show: Show, bucket: Bucket) -> None:
    page = answered(show)
    page.click(BUTTON)
    page.fill("main [name=label]", "   ")
    page.check("main [name=consent]")
    page.click("main .feedback [type=submit]")
    assert page.evaluate("document.querySelector('main form.feedback').checkValidity()") is False
    assert bucket.objects == {}


def test_what_is_refused_is_said_in_words_and_may_be_mended(show: Show, bucket: Bucket) -> None:
    page = answered(show)
    page.click(BUTTON)
    page.fill("main [name=label]", "cats/dogs")
    page.check("main [name=consent]")
    page.click("main .feedback [type=submit]")
    page.wait_for_selector("main .feedback .error:not(:empty)")
    assert page.inner_text("main .feedback .error").startswith('Unusable label. "label" is cats/dogs')
    assert page.get_attribute("main .feedback .error", "role") == "alert"

    bucket.fails = True
    page.fill("main [name=label]", "cats")
    page.click("main .feedback [type=submit]")
    page.wait_for_selector("main .feedback .error:text('Feedback not kept')")
    bucket.fails = False
    page.click("main .feedback [type=submit]")
    page.wait_for_selector(".thanks")
    assert [record["label"] for record in bucket.records()] == ["cats"]


def test_the_form_is_closed_by_its_button_and_belongs_to_one_photo(show: Show, bucket: Bucket) -> None:
    page = answered(show)
    page.set_input_files("#file", [given("other.jpg", photo(80))])
    state_of(page, "sure", count=2)
    page.locator(BUTTON).last.click()
    assert page.locator("main .feedback:visible").count() == 1
    controlled = page.locator(BUTTON).last.get_attribute("aria-controls")
    assert page.locator("main .feedback:visible").get_attribute("id") == controlled
    page.locator(BUTTON).last.click()
    assert page.locator("main .feedback:visible").count() == 0


def test_an_answer_of_before_has_no_photo_to_give(show: Show, bucket: Bucket) -> None:
    page = answered(show)
    page.wait_for_function("() => JSON.parse(sessionStorage.getItem('history') ?? '[]').length === 1")
    page.reload()
    state_of(page, "sure")
    assert page.locator(BUTTON).count() == 0


@pytest.mark.parametrize("width", [390, 1000])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_off(show: Show, bucket: Bucket, width: int, colours: Any) -> None:
    page = answered(show, width=width, colours=colours, bypass_csp=True)
    page.click(BUTTON)
    page.fill("main [name=label]", f"{LONG}/")
    page.check("main [name=consent]")
    page.click("main .feedback [type=submit]")
    page.wait_for_selector("main .feedback .error:not(:empty)")
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.fill("main [name=label]", "cat")
    page.click("main .feedback [type=submit]")
    page.wait_for_selector(".thanks")
    assert findings(page) == []
