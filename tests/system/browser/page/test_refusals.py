"""The page of the API in a real browser: without a key, while the model wakes, and when the API or a photo fails."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route

from tests.fakes.api_gateway import KEY, NOT_READY, answer, model_error
from tests.system.browser.page.conftest import Show, drop, given, photo, state_of

SURE = answer(("whippet", 0.97), ("lamp", 0.03))


def with_clock(page: Page) -> None:
    """Let the test say how late it is."""
    page.clock.install(time=0)
    page.clock.pause_at(1_000)


def test_without_a_key_a_photo_waits_and_goes_on_by_itself(show: Show) -> None:
    page, gateway = show(key=None)
    assert page.inner_text("#key-error") == "", "nothing was wrong yet"
    page.set_input_files("#file", [given("dog.jpg", photo())])
    page.wait_for_selector("h3:text('Waiting for the API key')")
    assert page.evaluate("document.activeElement.id") == "key"

    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key-error:not(:empty)")
    assert page.get_attribute("#key", "aria-invalid") is not None
    assert page.inner_text("#key-error").startswith("Send your key in the header x-api-key")
    assert page.evaluate("sessionStorage.getItem('api-key')") is None

    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    state_of(page, "sure")
    assert not page.is_visible("#key-form")
    assert [request.headers.get("x-api-key") for request in gateway.photos()] == [None, KEY]


def test_the_key_stays_in_the_tab_alone_and_can_be_forgotten(show: Show) -> None:
    page, gateway = show()
    assert page.evaluate("sessionStorage.getItem('api-key')") == KEY
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate("document.cookie") == ""
    assert page.input_value("#key") == ""
    page.reload()
    page.wait_for_selector("#model-line:not(:empty)")
    assert not page.is_visible("#key-form"), "the tab remembers"
    assert KEY not in page.content()
    assert not [request for request in gateway.requests if KEY in str(request.query)]

    page.click("#forget-key")
    assert page.is_visible("#key-form")
    assert page.evaluate("sessionStorage.getItem('api-key')") is None
    page.set_input_files("#file", [given("dog.jpg", photo())])
    page.wait_for_selector("h3:text('Waiting for the API key')")


def test_an_api_without_keys_asks_for_none(show: Show) -> None:
    page, gateway = show(needs_key=False)
    assert not page.is_visible("#key-form")
    assert not page.is_visible("#forget-key")
    page.set_input_files("#file", [given("dog.jpg", photo())])
    state_of(page, "sure")
    assert "x-api-key" not in gateway.photos()[0].headers


@pytest.mark.parametrize("key", ["two words", "schlüssel", "x" * 300])
def test_what_no_key_can_be_is_not_sent(show: Show, key: str) -> None:
    page, gateway = show(key=None)
    asked = len(gateway.requests)
    page.fill("#key", key)
    page.click("#key-form button")
    assert page.inner_text("#key-error") == "A key has letters and digits only, and no spaces. Copy it again."
    assert len(gateway.requests) == asked


def test_while_the_model_wakes_the_page_waits_and_says_for_how_long(show: Show) -> None:
    page, gateway = show(NOT_READY, NOT_READY, SURE, before=with_clock)
    page.set_input_files("#file", [given("dog.jpg", photo())])
    page.wait_for_selector("#pause:not([hidden])")
    assert page.inner_text("#pause-title") == "Model is waking"
    assert "The model sleeps while nobody asks" in page.inner_text("#pause-detail")
    assert "try again" not in page.inner_text("#pause-detail"), "the page does so by itself"
    assert page.inner_text("#pause-countdown") == "This page tries again by itself in 20 seconds."
    assert page.inner_text("#live").endswith("This page tries again by itself.")
    assert page.inner_text(".photo h3") == "Waiting for the model"
    assert page.get_attribute(".photo", "aria-busy") == "true"

    said = page.inner_text("#live")
    page.clock.run_for(15_000)
    assert page.inner_text("#pause-countdown") == "This page tries again by itself in 5 seconds."
    assert page.inner_text("#live") == said, "a screen reader is not told each second"
    assert len(gateway.photos()) == 1

    page.clock.run_for(5_000)
    page.wait_for_function("() => document.getElementById('pause-countdown').textContent.includes('20 seconds')")
    assert len(gateway.photos()) == 2
    page.clock.run_for(20_000)
    state_of(page, "sure")
    assert not page.is_visible("#pause")
    assert len(gateway.photos()) == 3
    assert page.inner_text("#live") == "dog.jpg: whippet. 97 % sure"


def test_one_notice_counts_for_all_photos_and_a_person_may_be_impatient(show: Show) -> None:
    page, gateway = show(NOT_READY, NOT_READY, SURE, before=with_clock)
    page.set_input_files("#file", [given(f"{number}.jpg", photo()) for number in range(4)])
    page.wait_for_function(
        "() => [...document.querySelectorAll('h3')].filter(({textContent}) => textContent === 'Waiting for the model')"
        ".length === 2"
    )
    assert page.locator("#pause:visible").count() == 1
    assert len(gateway.photos()) == 2, "the others wait for their turn"
    page.click("#pause-now")
    state_of(page, "sure", count=4)
    assert not page.is_visible("#pause")


def test_clearing_ends_the_wait(show: Show) -> None:
    page, gateway = show(NOT_READY, before=with_clock)
    page.set_input_files("#file", [given("dog.jpg", photo())])
    page.wait_for_selector("#pause:not([hidden])")
    page.click("#clear")
    assert not page.is_visible("#pause")
    assert page.locator(".photo").count() == 0
    page.clock.run_for(60_000)
    assert len(gateway.photos()) == 1
    assert page.evaluate("document.activeElement.id") == "file"


def test_a_model_that_never_wakes_is_given_up_in_words(show: Show) -> None:
    page, _ = show(NOT_READY, before=with_clock)
    page.set_input_files("#file", [given("dog.jpg", photo())])
    for _ in range(60):
        if page.locator("[data-state=failed]").count():
            break
        page.wait_for_selector("#pause:not([hidden])")
        page.clock.run_for(20_000)
        page.wait_for_function(
            "() => !/Trying/.test(document.getElementById('pause-countdown').textContent)"
            " || document.querySelector('[data-state=failed]')"
        )
    assert page.inner_text(".photo h3") == "Model is waking"
    assert page.locator(".actions button").all_inner_texts() == ["Try again"]
    assert not page.is_visible("#pause")


def test_a_photo_that_the_model_refuses_is_refused_in_its_words_and_not_sent_again(show: Show) -> None:
    page, gateway = show(model_error(415, "the bytes are no image that can be decoded"), SURE)
    page.set_input_files("#file", [given("broken.jpg", b"\xff\xd8\xff broken")])
    state_of(page, "failed")
    assert page.inner_text(".photo h3") == "The model cannot use this"
    assert page.inner_text(".photo .detail") == "The bytes are no image that can be decoded."
    assert page.locator(".actions button").count() == 0
    assert "broken.jpg: The model cannot use this." in page.inner_text("#live")
    assert len(gateway.photos()) == 1
    page.set_input_files("#file", [given("dog.jpg", photo())])
    state_of(page, "sure")
    assert gateway.photos()[-1].query.keys() == {"coverage", "explain", "top_k"}, "the refusal was not about these"


def test_what_the_model_cannot_do_is_left_out_from_then_on(show: Show) -> None:
    no_coverage = model_error(422, "coverage 0.95 is more than the model in service can promise")
    no_maps = model_error(422, "the model in service has no heat maps; leave explain out")
    page, gateway = show(no_coverage, no_maps, SURE)
    for count in (1, 2):
        page.set_input_files("#file", [given("dog.jpg", photo())])
        state_of(page, "sure", count=count)
    asked = [set(request.query) for request in gateway.photos()]
    assert asked == [{"coverage", "explain", "top_k"}, {"explain", "top_k"}, {"top_k"}, {"top_k"}]


def test_an_api_that_fails_again_and_again_is_said_to_and_may_be_tried_again(show: Show) -> None:
    page, gateway = show(before=with_clock)
    problem = {"title": "Model failed", "detail": "The model could not answer; try again in some seconds."}
    tried = []

    def fail(route: Route) -> None:
        tried.append(route.request.url)
        route.fulfill(status=502, headers={"Retry-After": "5"}, json=problem)

    page.route(re.compile("/classify"), fail)
    page.set_input_files("#file", [given("dog.jpg", photo())])
    for _ in range(2):
        page.wait_for_function("() => /in 5 seconds/.test(document.getElementById('pause-countdown').textContent)")
        page.clock.run_for(5_000)
    state_of(page, "failed")
    assert len(tried) == 3
    assert page.inner_text(".photo h3") == "Model failed"
    assert not page.is_visible("#pause")
    page.unroute_all()
    page.click(".actions button")
    state_of(page, "sure")
    assert page.locator(".actions button").count() == 0
    assert len(gateway.photos()) == 1


def test_an_api_that_cannot_be_reached_is_said_in_words(show: Show) -> None:
    page, _ = show()
    page.route(re.compile("/classify"), lambda route: route.abort())
    page.set_input_files("#file", [given("dog.jpg", photo())])
    state_of(page, "failed")
    assert page.inner_text(".photo h3") == "The API cannot be reached"
    assert page.inner_text(".photo .detail") == "Is this device connected to the internet? Then try again."
    page.unroute_all()
    page.click(".actions button")
    state_of(page, "sure")


@pytest.mark.parametrize(("status", "title"), [(200, "The answer is unreadable"), (502, "The API refused the request")])
def test_an_answer_that_is_none_breaks_nothing(show: Show, status: int, title: str) -> None:
    page, _ = show()
    bodies = [
        "<h1>Bad Gateway</h1>",
        "",
        "null",
        "[1]",
        '"text"',
        '{"predictions": []}',
        '{"predictions": [{"label": 1}]}',
    ]
    for number, body in enumerate(bodies, 1):
        page.unroute_all()
        page.route(re.compile("/classify"), lambda route, _, body=body: route.fulfill(status=status, body=body))
        page.set_input_files("#file", [given("dog.jpg", photo())])
        state_of(page, "failed", count=number)
        assert page.inner_text(".photo h3 >> nth=0") == title, body


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("notes.txt", b"no photo", "text/plain", "This is no photo, but a file of type text/plain."),
        ("a folder", b"", "", "The file is empty, or a folder."),
        ("film.mp4", b"film", "video/mp4", "This is no photo, but a file of type video/mp4."),
    ],
)
def test_what_is_no_photo_is_not_sent(show: Show, name: str, content: bytes, kind: str, words: str) -> None:
    page, gateway = show()
    drop(page, [(name, content, kind)])
    state_of(page, "failed")
    assert page.inner_text(".photo h3") == "This cannot be sent"
    assert page.inner_text(".photo .detail").startswith(words)
    assert gateway.photos() == []


def test_a_drop_without_a_file_is_answered_in_words(show: Show) -> None:
    page, gateway = show()
    drop(page, [])
    assert page.inner_text("#complaint").startswith("That was no file.")
    page.set_input_files("#file", [given("dog.jpg", photo())])
    state_of(page, "sure")
    assert page.inner_text("#complaint") == ""
    assert len(gateway.photos()) == 1


def test_a_model_that_is_not_in_service_is_said_on_its_card(show: Show) -> None:
    page, gateway = show()
    gateway.endpoint.status = "Creating"
    page.reload()
    page.wait_for_selector("#model-line:text('Model not ready')")
    assert not page.is_visible("#key-form"), "the key is right all the same"
