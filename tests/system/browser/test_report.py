"""The report in a real browser, from a file and without a network: it draws, sorts, and complains of nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import pytest
from playwright.sync_api import Page

from tests.fakes.lambda_context import Context
from tests.fakes.report_files import CLASSES, RUN
from tests.fakes.report_run import FakeSageMaker, FakeStepFunctions, event, files
from tests.fakes.s3 import FakeS3
from tests.system.browser.conftest import OpenedPage

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = ROOT / "node_modules" / "echarts" / "dist" / "echarts.min.js"
HOSTILE = "<img src=x onerror=\"document.title='taken over'\"></script><script>document.title='taken over'</script>"


class Show(Protocol):
    """Writes the pages of a run with these files, and opens one."""

    def __call__(self, objects: dict[str, bytes], name: str = ..., *, width: int = ...) -> Page: ...


@pytest.fixture
def show(open_page: Callable[..., OpenedPage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Show]:
    """Show a report; the test fails where the page complained of anything or loaded more than itself."""
    monkeypatch.setenv("BUCKET", "data")
    monkeypatch.setenv("NAME_PREFIX", "whippet-dev")
    monkeypatch.setenv("PAUSE_AFTER_HOURS", "")
    monkeypatch.setenv("CHECKS_DRIFT", "false")
    from report import handler as report

    monkeypatch.setattr(report, "CHARTING_LIBRARY", LIBRARY)
    monkeypatch.setattr(report, "sagemaker", FakeSageMaker())
    monkeypatch.setattr(report, "stepfunctions", FakeStepFunctions())
    pages: list[tuple[Path, OpenedPage]] = []

    def shown(objects: dict[str, bytes], name: str = "report.html", *, width: int = 1200) -> Page:
        s3 = FakeS3(objects)
        monkeypatch.setattr(report, "s3", s3)
        report.handler(event(), Context())  # type: ignore[arg-type]

        file = tmp_path / name
        file.write_bytes(s3.objects[f"runs/{RUN}/{name}"])
        opened = open_page(file, width=width)
        pages.append((file, opened))
        return opened.page

    yield shown

    for file, opened in pages:
        assert opened.complaints == []
        assert opened.requests == [file.as_uri()]


def unfold(page: Page) -> None:
    """Open everything that is folded, as a person would, and wait until the page has heard of it."""
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def drawn(page: Page) -> dict[str, int]:
    """Kinds of chart → shapes it is made of, all sections unfolded; a canvas counts as its coloured pixels."""
    unfold(page)
    found: dict[str, int] = page.evaluate("""
        Object.fromEntries([...document.querySelectorAll("[data-chart]")].map((element) => {
            const canvas = element.querySelector("canvas"); // the layer of the data; others are for what is pointed at
            if (!canvas) return [element.dataset.chart, element.querySelectorAll("svg path").length];
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return [element.dataset.chart, pixels.filter((value, at) => at % 4 === 3 && value > 0).length];
        }))
    """)
    return found


def test_a_chart_of_broken_figures_does_not_take_the_others_with_it(show: Show) -> None:
    objects = files()
    key = f"runs/{RUN}/results/profile.json"
    objects[key] = json.dumps(json.loads(objects[key]) | {"timeline": {}}).encode()
    page = show(objects)
    charts = drawn(page)
    assert charts["timeline"] == 0
    assert charts["dataset"] >= 8
    assert charts["steps"] >= 8, "which is drawn beside it"
    said = page.evaluate("document.querySelector('[data-chart=timeline]').textContent")
    assert said.startswith("This chart could not be drawn: ")
    assert page.evaluate("document.querySelectorAll('table.sortable th button').length") > 0


def test_every_chart_is_drawn(show: Show) -> None:
    charts = drawn(show(files()))
    assert set(charts) == {
        "parallel", "scatter", "progress", "losses", "accuracy", "confusion", "reliability", "phases", "steps",
        "histogram", "timeline", "dataset", "trend", "answered",
    }  # fmt: skip
    assert all(shapes >= 8 for shapes in charts.values()), charts


@pytest.mark.parametrize("lowest", [0.9825, 0.5])
def test_no_two_marks_of_an_axis_read_the_same(show: Show, lowest: float) -> None:
    objects = files()
    key = f"runs/{RUN}/results/evaluation.json"
    evaluation = json.loads(objects[key])
    evaluation["unknown"]["curve"] = [
        {"answered": 0.5, "accuracy": 1.0},
        {"answered": 1.0, "accuracy": lowest},
    ]
    evaluation["test_accuracy"] = lowest
    objects[key] = json.dumps(evaluation).encode()

    page = show(objects)
    marks = page.evaluate("""
        [...document.querySelectorAll("[data-chart=answered] svg text")]
            .filter((text) => text.getAttribute("text-anchor") === "end").map((text) => text.textContent)
    """)
    assert len(marks) > 3
    assert len(set(marks)) == len(marks), marks


def emulate(
    page: Page, *, color_scheme: Literal["light", "dark"], media: Literal["screen", "print"] = "screen"
) -> None:
    """Change what the page's media queries see, and wait for the second frame: the page hears of it with the first."""
    page.emulate_media(color_scheme=color_scheme, media=media)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def column(page: Page, number: int) -> list[str]:
    cells: list[str] = page.evaluate(
        f'[...document.querySelectorAll("#class-table tbody tr")].map((row) => row.cells[{number}].textContent)'
    )
    return cells


def test_the_classes_can_be_sorted_by_any_column(show: Show) -> None:
    page = show(files())
    click = '[...document.querySelectorAll("#class-table th button")][{}].click()'
    page.evaluate(click.format(3))
    recall = [float(text.rstrip("%")) for text in column(page, 3)]
    assert recall == sorted(recall)
    assert recall[0] < recall[-1]
    page.evaluate(click.format(3))
    assert [float(text.rstrip("%")) for text in column(page, 3)] == recall[::-1]
    headers = '[...document.querySelectorAll("#class-table th[aria-sort]")].map((cell) => cell.ariaSort)'
    assert page.evaluate(headers) == ["descending"]
    page.evaluate(click.format(0))
    assert column(page, 0) == sorted(CLASSES)


def test_the_trials_without_an_objective_are_sorted_last_both_ways(show: Show) -> None:
    page = show(files())
    for _ in range(2):
        page.evaluate('document.querySelectorAll("#tuning table.sortable th button")[3].click()')
        last = 'document.querySelector("#tuning table.sortable tbody tr:last-child").cells[0].textContent'
        assert page.evaluate(last) == "4"


def test_a_name_cannot_act_in_the_page_nor_in_a_tooltip(show: Show) -> None:
    page = show(files(classes=[HOSTILE, *CLASSES[1:]]))
    page.evaluate("""(() => {
        const element = document.querySelector('[data-chart="confusion"]');
        element.scrollIntoView({block: "start", behavior: "instant"});
        echarts.getInstanceByDom(element).dispatchAction({type: "showTip", seriesIndex: 0, dataIndex: 0});
    })()""")
    assert page.evaluate("""document.querySelector('[data-chart="confusion"]').innerText.includes("taken for")""")
    assert page.evaluate("document.title").startswith(f"Run {RUN}: 1,830 photos")
    assert page.evaluate('document.querySelectorAll("img[onerror], img:not([src^=data])").length') == 0


def test_two_hundred_classes_are_drawn_a_shape_a_cell(show: Show) -> None:
    page = show(files(classes=[f"class {n}" for n in range(200)], each=20))
    cells = page.evaluate('JSON.parse(document.getElementById("charts").textContent).confusion.cells.length')
    assert drawn(page)["confusion"] > cells > 400


def test_very_many_cells_are_drawn_as_pixels(show: Show) -> None:
    page = show(files(classes=[f"class {n}" for n in range(1000)], each=40))
    assert page.evaluate("""document.querySelectorAll('[data-chart="confusion"] canvas').length""") > 0
    assert drawn(page)["confusion"] > 1000


LONG = "a class whose name somebody made as long as a sentence, and_without_a_place_to_break_it_" + "x" * 60
MANY = [f"{LONG} {number}" for number in range(120)]

BEYOND = """
    [...document.querySelectorAll("main *")].filter((element) => {
        const box = element.getBoundingClientRect();
        if (!box.width || element.closest("svg, .scroll, .chart, option, dialog:not([open])")) return false;
        const cut = element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0;
        return box.right > innerWidth + 0.5 || cut && getComputedStyle(element).display !== "inline"
            && !["SELECT", "IMG"].includes(element.tagName);
    }).map((element) => element.outerHTML.slice(0, 120))
"""
"""What is cut off or reaches beyond the window; tables that are wider can be scrolled, each in its own box."""


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("classes", [CLASSES, MANY], ids=["ten", "many"])
def test_nothing_is_cut_off(show: Show, width: int, classes: Sequence[str]) -> None:
    page = show(files(classes=classes, each=10), width=width)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(BEYOND) == []
    for box in page.locator(".scroll").all():
        assert box.evaluate("(box) => getComputedStyle(box).overflowX") == "auto"
    if len(classes) == len(CLASSES):
        for table in ("#outcome .scroll", "#classes .scroll", "#confusion .scroll"):
            assert page.locator(table).first.evaluate("(box) => box.scrollWidth <= box.clientWidth"), table
    page.evaluate("document.querySelector('button.cell').click()")
    dialog = page.locator("#cell").bounding_box()
    assert dialog
    assert dialog["x"] >= 0
    assert dialog["x"] + dialog["width"] <= width
    assert page.evaluate("document.getElementById('cell').scrollWidth <= document.getElementById('cell').clientWidth")


def shown_mistakes(page: Page, where: str) -> list[tuple[str, str]]:
    """Rows and columns of the mistakes that can be seen."""
    found: list[list[str]] = page.evaluate(
        f"[...document.querySelectorAll('{where} > li')].filter((item) => !item.hidden)"
        ".map((item) => [item.dataset.row, item.dataset.column])"
    )
    return [(row, column) for row, column in found]


def test_a_cell_of_the_matrix_opens_its_photos_by_mouse_and_by_keyboard(show: Show) -> None:
    page = show(files())
    confusion = page.locator("#confusion")
    confusion.locator("button.cell").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#cell").is_visible()
    title = page.locator("#cell-title").inner_text()
    photos = shown_mistakes(page, "#cell-photos")
    assert len(set(photos)) == 1
    label, predicted = (CLASSES[int(place)] for place in photos[0])
    assert title == f"{label}, taken for {predicted}: {len(photos)}"
    page.keyboard.press("Escape")
    assert not page.locator("#cell").is_visible()
    focused = page.evaluate("document.activeElement.className")
    assert focused == "cell", "the keyboard is where it was"

    # the chart's own cells
    left, top, row, column = page.evaluate("""(() => {
        const chart = echarts.getInstanceByDom(document.querySelector('[data-chart="confusion"]'));
        const cells = JSON.parse(document.getElementById("charts").textContent).confusion.cells;
        const [x, y] = cells.find(([x, y]) => x !== y);
        return [...chart.convertToPixel({seriesIndex: 0}, [x, y]), String(y), String(x)];
    })()""")
    page.locator('[data-chart="confusion"]').click(position={"x": left, "y": top})
    assert set(shown_mistakes(page, "#cell-photos")) == {(row, column)}
    page.locator("#cell-close").click()
    assert not page.locator("#cell").is_visible()


def test_the_mistakes_can_be_filtered_by_class(show: Show) -> None:
    page = show(files())
    few = shown_mistakes(page, "#mistakes-list")
    page.locator("#mistakes-more").click()
    everything = shown_mistakes(page, "#mistakes-list")
    assert len(everything) > len(few) == 18
    wanted = everything[-1]
    page.locator("#mistakes-row").select_option(wanted[0])
    assert set(shown_mistakes(page, "#mistakes-list")) == {entry for entry in everything if entry[0] == wanted[0]}
    page.locator("#mistakes-column").select_option(wanted[1])
    assert set(shown_mistakes(page, "#mistakes-list")) == {wanted}
    count = everything.count(wanted)
    assert page.locator("#mistakes-count").inner_text() == f"{count} of {count} mistakes are shown."


def test_a_link_to_a_folded_section_opens_it(show: Show) -> None:
    page = show(files())
    chart = page.locator('[data-chart="losses"] svg')
    assert chart.count() == 0
    page.locator('nav a[href="#curves"]').click()
    chart.wait_for()
    assert page.locator("#curves details").first.get_attribute("open") is not None


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_is_never_wider_than_its_window(show: Show, width: int) -> None:
    page = show(files(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("Math.max(...[...document.querySelectorAll('svg')].map((s) => s.clientWidth))") <= width


def test_the_colours_follow_the_readers_preference_while_the_page_is_open(show: Show) -> None:
    page = show(files())
    unfold(page)
    ground = "getComputedStyle(document.body).backgroundColor"
    label = """document.querySelector('[data-chart="losses"] text').getAttribute("fill")"""
    light = page.evaluate(ground), page.evaluate(label)
    emulate(page, color_scheme="dark")
    dark = page.evaluate(ground), page.evaluate(label)
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    emulate(page, color_scheme="light")
    assert (page.evaluate(ground), page.evaluate(label)) == light


def test_on_paper_the_page_is_light_and_unfolded(show: Show) -> None:
    page = show(files())
    page.evaluate("document.querySelector('#curves details').open = true")
    page.wait_for_selector('[data-chart="losses"] text')
    label = """document.querySelector('[data-chart="losses"] text').getAttribute("fill")"""
    folded = 'document.querySelectorAll("details:not([open])").length'
    light, before = page.evaluate(label), page.evaluate(folded)
    assert before > 0
    emulate(page, color_scheme="dark", media="print")
    page.evaluate('dispatchEvent(new Event("beforeprint"))')
    assert (page.evaluate(label), page.evaluate(folded)) == (light, 0)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate('dispatchEvent(new Event("afterprint"))')
    assert page.evaluate(label) != light
    assert page.evaluate(folded) == before


def test_the_profile_page_draws_alone(show: Show) -> None:
    charts = drawn(show(files(), "profile.html"))
    assert set(charts) == {"phases", "steps", "histogram", "timeline"}
    assert all(shapes >= 8 for shapes in charts.values()), charts


def test_a_diverged_training_still_draws(show: Show) -> None:
    header = b"epoch,train_loss,validation_loss,validation_loss_error,validation_accuracy,kept"
    history = header + b"\n1,2.5,2.4,0.1,0.2,1\n2,nan,nan,nan,0.1,0\n3,nan,nan,nan,0.1,0"
    charts = drawn(show(files() | {f"runs/{RUN}/results/history.csv": history}))
    assert charts["losses"] >= 8
