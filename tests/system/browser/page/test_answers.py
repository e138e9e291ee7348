"""The page of the API in a real browser: photos come in, and their answers are shown in words, bars and a heat map."""

from __future__ import annotations

import io
from typing import Any, Literal

import pytest
from PIL import Image

from tests.fakes.api_gateway import answer, model_error
from tests.system.browser.page.conftest import Show, drop, given, photo, state_of

HOSTILE = "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>"


@pytest.mark.parametrize("way", ["drop", "paste", "file", "camera"])
def test_a_photo_that_comes_in_gets_its_answer(show: Show, way: Literal["drop", "paste", "file", "camera"]) -> None:
    page, gateway = show(width=500 if way == "camera" else 1000)
    content = photo()
    if way in ("file", "camera"):
        page.set_input_files(f"#{way}", [given("dog.jpg", content)])
    else:
        drop(page, [("dog.jpg", content, "image/jpeg")], event="drop" if way == "drop" else "paste")

    state_of(page, "sure")
    assert page.inner_text(".photo h3") == "whippet"
    assert page.inner_text(".photo .detail") == "97 % sure"
    assert page.locator(".bars li").all_inner_texts() == ["whippet\n97 %", "greyhound\n2 %", "lamp\n1 %"]
    assert page.inner_text("#live") == "dog.jpg: whippet. 97 % sure"
    assert page.evaluate("document.querySelector('.photo img').naturalWidth") == 60
    (request,) = gateway.photos()
    assert (request.body, request.headers["content-type"]) == (content, "image/jpeg"), "a small photo is sent as it is"


def test_several_photos_are_sent_two_at_a_time_and_each_has_its_answer(show: Show) -> None:
    page, gateway = show()
    gateway.delay = 0.2
    page.set_input_files("#file", [given(f"{number}.jpg", photo(60 + number)) for number in range(5)])
    state_of(page, "sure", count=5)
    assert gateway.most_at_once == 2
    assert page.locator("figcaption").all_inner_texts() == [f"{number}.jpg" for number in range(5)]

    page.set_input_files("#file", [given("later.jpg", photo())])
    state_of(page, "sure", count=6)
    assert page.locator("figcaption").first.inner_text() == "later.jpg", "the newest are on top"


def test_a_large_photo_is_sent_upright_and_of_the_size_that_the_model_profits_from(show: Show) -> None:
    page, gateway = show()
    page.set_input_files("#file", [given("phone.jpg", photo(4000, 3000, orientation=6))])
    state_of(page, "sure")
    (request,) = gateway.photos()
    assert request.headers["content-type"] == "image/jpeg"
    assert len(request.body) < 400_000
    with Image.open(io.BytesIO(request.body)) as sent:
        assert sent.size == (1024, 1365)
        assert not sent.getexif().get(0x0112)
        red, blue = sent.getpixel((900, 100)), sent.getpixel((100, 1300))
    assert isinstance(red, tuple)
    assert isinstance(blue, tuple)
    assert red[0] > 180 > 80 > red[2], "the stored top left corner is at the upright photo's right"
    assert blue[2] > 150 > 80 > blue[0]


def test_transparency_becomes_white_as_the_model_sees_it(show: Show) -> None:
    page, gateway = show()
    file = io.BytesIO()
    Image.new("RGBA", (3000, 2000), (0, 0, 0, 0)).save(file, "PNG")
    page.set_input_files("#file", [given("clear.png", file.getvalue(), "image/png")])
    state_of(page, "sure")
    with Image.open(io.BytesIO(gateway.photos()[0].body)) as sent:
        assert (sent.size, sent.getpixel((500, 500))) == ((1536, 1024), (255, 255, 255))


def test_a_format_that_the_browser_cannot_show_is_sent_as_it_is(show: Show) -> None:
    page, gateway = show()
    file = io.BytesIO()
    Image.new("RGB", (50, 40)).save(file, "TIFF")
    page.set_input_files("#file", [given("scan.tif", file.getvalue(), "image/tiff")])
    state_of(page, "sure")
    assert gateway.photos()[0].body == file.getvalue()
    assert page.inner_text(".frame") == "No preview: this browser cannot show this file."
    assert page.locator(".actions button").count() == 0


@pytest.mark.parametrize("share", [0.999, 0.5])
def test_a_photo_that_ends_early_is_shown_and_sent_as_it_is(show: Show, share: float) -> None:
    page, gateway = show(answer(("hat", 0.9), heat_map={"label": "hat", "values": [[1.0, -0.5]], "crop": 0.5}))
    whole = photo(300, 200, orientation=6)
    cut = whole[: int(len(whole) * share)]
    page.set_input_files("#file", [given("cut.jpg", cut)])
    state_of(page, "sure")
    assert gateway.photos()[0].body == cut
    page.wait_for_function("document.querySelector('.frame img').naturalWidth === 200")
    assert page.locator("text=Show where it looked").count() == 1


@pytest.mark.parametrize(
    ("more", "kind", "title", "detail"),
    [
        (
            {"known": False, "reason": "the photo is unlike those that the model was trained on"},
            "unknown", "Unlike anything it was trained on", "The photo is unlike those that the model was trained on.",
        ),
        (
            {"known": False, "label": None},
            "unknown", "Unlike anything it was trained on", "The photo is far from all that the model has seen.",
        ),
        (
            {"labels": ["hat", "cap"]},
            "unsure", "Not sure: hat or cap", "The right one is among them for 95 of 100 photos.",
        ),
        (
            {"labels": ["hat", "cap", "a", "b"]},
            "unsure", "Not sure", "The likeliest is hat, but 4 classes are possible.",
        ),
        ({}, "unsure", "Not sure", "The likeliest is hat, with only 42 %."),
        ({"labels": ["hat"]}, "sure", "hat", "42 % sure"),
        ({"known": None, "distance": None, "labels": ["hat"]}, "sure", "hat", "42 % sure"),
    ],
)  # fmt: skip
def test_what_the_model_does_not_know_is_said_in_words(
    show: Show, more: dict[str, Any], kind: str, title: str, detail: str
) -> None:
    page, _ = show(answer(("hat", 0.42), ("cap", 0.4), ("a", 0.1), ("b", 0.08), **more))
    page.set_input_files("#file", [given("it.jpg", photo())])
    state_of(page, kind)
    assert page.inner_text(".photo h3") == title
    assert page.inner_text(".photo .detail") == detail
    assert page.locator(".bars li").count() == 4


def test_only_what_is_certain_is_a_hundred_per_cent(show: Show) -> None:
    page, _ = show(answer(("hat", 0.9996), ("cap", 0.0004), ("no", 0.0)))
    page.set_input_files("#file", [given("it.jpg", photo())])
    state_of(page, "sure")
    assert page.locator(".share").all_inner_texts() == ["> 99 %", "< 1 %", "0 %"]


def test_labels_and_names_are_only_text(show: Show) -> None:
    hostile = answer(
        (HOSTILE, 0.9),
        ("<b>bold</b>", 0.1),
        labels=[HOSTILE, "<b>bold</b>"],
        model={"release": HOSTILE, "run": HOSTILE, "test_accuracy": 0.9},
        heat_map={"label": HOSTILE, "values": [[1.0]], "crop": 1.0},
    )
    page, _ = show(hostile, {**hostile, "known": False, "reason": HOSTILE}, model_error(400, HOSTILE))
    for kind in ("unsure", "unknown", "failed"):
        page.set_input_files("#file", [given(f"{HOSTILE.replace('/', ':')}.jpg", photo())])
        state_of(page, kind)
    page.click("#model summary")

    assert page.title() == "What is in the photo?"
    assert page.locator("main b:not(.legend b), main script, main img:not([src^='blob:'])").count() == 0
    assert page.inner_text("[data-state=unsure] .bars .name >> nth=0") == HOSTILE
    assert page.inner_text("[data-state=unknown] .detail").startswith("<img src=x onerror=")
    assert page.inner_text("[data-state=failed] .detail") == f"{HOSTILE}."
    assert HOSTILE in page.inner_text("#model-facts")
    assert HOSTILE in page.inner_text("#model-class-list")

    page.reload()
    page.wait_for_selector("[data-state=unsure]")
    assert page.title() == "What is in the photo?"


def test_a_heat_map_lies_over_the_square_that_the_network_saw(show: Show) -> None:
    values = [[1.0, -0.5], [0.0, 0.25]]
    page, gateway = show(answer(("hat", 0.9), heat_map={"label": "hat", "values": values, "crop": 0.5}))
    page.set_input_files("#file", [given("it.jpg", photo(600, 400))])
    state_of(page, "sure")
    assert gateway.photos()[0].query["explain"] == "1"
    assert not page.is_visible(".heat")
    page.click("text=Show where it looked")
    assert page.get_attribute(".heat", "aria-label") == "Heat map: orange places speak for hat, blue places against it"
    assert page.inner_text(".legend") == "speaks for hat speaks against it"

    names = ("x", "y", "width", "height", "fill", "fill-opacity")
    drawn = page.evaluate(
        "(names) => [...document.querySelectorAll('.heat rect')]"
        ".map((rect) => names.map((name) => rect.getAttribute(name)))",
        names,
    )
    orange, blue = "rgb(230, 97, 0)", "rgb(0, 90, 181)"
    assert drawn == [
        ["200", "100", "100", "100", orange, "0.65"],
        ["300", "100", "100", "100", blue, "0.325"],
        ["200", "200", "100", "100", blue, "0"],
        ["300", "200", "100", "100", orange, "0.1625"],
        ["200", "100", "200", "200", None, None],
    ]
    assert page.locator(".heat").bounding_box() == pytest.approx(page.locator(".frame img").bounding_box(), abs=0.5)
    page.click("text=Show where it looked")
    assert not page.is_visible(".heat")


def test_the_card_of_the_model_says_what_it_was_trained_on_and_how_good_it_is(show: Show) -> None:
    model = {"release": "whippet-dev-1f0c9a52-7e-1", "test_accuracy": 0.879, "run": "1f0c9a52-7e"}
    page, gateway = show(answer(("10", 0.7), ("9", 0.2), ("hat", 0.1), model=model))
    assert page.inner_text("#model-line") == "whippet-dev-1f0c9a52-7e-1", "before the first answer"
    page.set_input_files("#file", [given("it.jpg", photo())])
    state_of(page, "sure")
    assert int(gateway.photos()[0].query["top_k"]) >= 1000, "all classes come with the answer"
    assert page.inner_text("#model-line") == "right on 87.9 % of its test photos"
    page.click("#model summary")
    facts = dict(
        zip(page.locator("#model dt").all_inner_texts(), page.locator("#model dd").all_inner_texts(), strict=True)
    )
    assert facts == {
        "Right on test photos": "87.9 %",
        "In service since": "28 November 2026 at 09:30",
        "Made by run": "1f0c9a52-7e",
        "Release": "whippet-dev-1f0c9a52-7e-1",
    }
    assert page.inner_text("#model-classes-line") == "3 classes:"
    assert page.locator("#model-class-list li").all_inner_texts() == ["9", "10", "hat"]

    page.reload()
    page.wait_for_function("() => document.querySelectorAll('#model dt').length === 4")
    assert page.inner_text("#model-line") == "right on 87.9 % of its test photos", "it stays in the tab"
    page.click("#model summary")
    assert page.locator("#model-class-list li").all_inner_texts() == ["9", "10", "hat"]

    page.evaluate("sessionStorage.setItem('model', sessionStorage.getItem('model').replace(/-7e-1/, '-7d-1'))")
    page.reload()
    page.wait_for_selector("#model-line:not(:empty)")
    assert page.inner_text("#model-line") == "whippet-dev-1f0c9a52-7e-1", "another release has served before the reload"


def test_answers_stay_in_the_tab_until_they_are_cleared(show: Show) -> None:
    page, gateway = show()
    for name in ("first.jpg", "second.jpg"):
        page.set_input_files("#file", [given(name, photo())])
    state_of(page, "sure", count=2)
    page.wait_for_function("() => JSON.parse(sessionStorage.getItem('history') ?? '[]').length === 2")

    page.reload()
    state_of(page, "sure", count=2)
    assert page.locator("figcaption").all_inner_texts() == ["second.jpg", "first.jpg"]
    page.wait_for_function("() => [...document.images].every((image) => image.complete && image.naturalWidth === 60)")
    assert len(gateway.photos()) == 2, "nothing is sent again"

    page.click("#clear")
    assert page.locator(".photo").count() == 0
    page.reload()
    page.wait_for_selector("#model-line:not(:empty)")
    assert page.locator(".photo").count() == 0
