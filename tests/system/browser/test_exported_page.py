"""The reader that `whippet export` writes for the browser, in a real one, beside the endpoint's own preprocessing."""

from __future__ import annotations

import base64
import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser

import contract
from cli import export
from tests.fakes import photo_kinds
from tests.fakes.model_card import model_card
from tests.inference.onnx_file import write_colour_model
from tests.system.browser.conftest import OpenedPage
from training.preprocess import Preprocessing, plain_view

SIZE, RESIZE = 64, 73
LABELS = ["red <b>", "green", "blue"]
PHOTOS = photo_kinds.photos()

LEVELS: Final = {"large.jpg": 2, "display-p3.png": 1, "grey-profile.png": 1, "alpha.webp": 2}
"""Levels of 255 by which a browser's decoder may differ: in JPEGs that the endpoint decodes at a part of their size, in
how colour profiles are rounded, and in how transparency is. docs/export.md says what that makes of the scores."""
OTHERWISE: Final = ("cmyk-profile.jpg", "grey-12-of-16.png")
"""What browsers show in other colours: they know no profiles of ink and take 16 bits for white, whatever is used."""
UNREADABLE: Final = ("float.tiff", "exif6.tiff")

pytestmark = [
    pytest.mark.filterwarnings("ignore:Corrupt EXIF data"),
    pytest.mark.skipif(not export.RUNTIME.is_dir(), reason="needs onnxruntime-web in node_modules: make setup"),
]


class Quiet(SimpleHTTPRequestHandler):
    extensions_map = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".json": "text/plain"}  # noqa: RUF012
    extensions_map |= {".wasm": "application/wasm", "": "application/octet-stream"}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(params=["bilinear", "bicubic"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, browser: Browser) -> Iterator[OpenedPage]:
    card = model_card(LABELS, image_size=SIZE, resize=RESIZE, interpolation=request.param)
    write_colour_model(tmp_path / "model.onnx", image_size=SIZE)
    content = {contract.Artefact.MODEL: (tmp_path / "model.onnx").read_bytes()}
    content[contract.Artefact.MODEL_CARD] = json.dumps(card).encode()
    export.write_export(tmp_path / "taken", {name.value: data for name, data in content.items()}, card)

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "taken")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context()
    opened = OpenedPage(context.new_page())
    opened.page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
    opened.page.wait_for_selector("#photos:enabled")
    yield opened
    context.close()
    server.shutdown()
    server.server_close()


def in_page(opened: OpenedPage, script: str, data: bytes) -> Any:
    return opened.page.evaluate(
        f"async (text) => {{ const data = Uint8Array.from(atob(text), (one) => one.charCodeAt(0)); {script} }}",
        base64.b64encode(data).decode(),
    )


def expected_scores(seen: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the colour model says of these pixels (tests/inference/onnx_file.py)."""
    powers = np.exp(0.05 * seen.reshape(-1, 3).mean(axis=0))
    scores: NDArray[np.float64] = powers / powers.sum()
    return scores


def test_it_sees_what_the_endpoint_sees_and_answers_alike(opened: OpenedPage) -> None:
    card = opened.page.evaluate("fetch('model.json').then((answer) => answer.json())")
    preprocessing = Preprocessing(image_size=SIZE, resize=RESIZE, interpolation=card["interpolation"])
    script = (
        "const { pixels } = await import('./photo.js'); const { classify } = await import('./classify.js');"
        f"return [Array.from(await pixels(data, {json.dumps(card)})), await classify(data)]"
    )
    for name, data in PHOTOS.items():
        if name in OTHERWISE or name in UNREADABLE:
            continue
        expected = plain_view(data, preprocessing)
        pixels, answer = in_page(opened, script, data)
        seen = np.array(pixels, dtype=np.uint8).reshape(expected.shape)
        assert np.abs(seen.astype(int) - expected).max() <= LEVELS.get(name, 0), name

        # of the same pixels, the same scores
        scores = dict(zip(LABELS, expected_scores(seen), strict=True))
        assert [each["label"] for each in answer["predictions"]] == sorted(LABELS, key=lambda one: -scores[one])
        for each in answer["predictions"]:
            assert each["score"] == pytest.approx(scores[each["label"]], abs=1e-4), name
        assert answer["distance"] == pytest.approx(seen.mean() / 127.5, abs=1e-4)
        assert answer["known"] == (answer["distance"] <= 1)
    assert opened.complaints == []
    assert {url.split("/")[2] for url in opened.requests if not url.startswith(("data:", "blob:"))} == {
        opened.page.url.split("/")[2]
    }


def test_the_page_says_the_label_as_text_and_what_cannot_be_read(opened: OpenedPage) -> None:
    red = photo_kinds.plain("red")
    hostile = "<i>x.jpg"
    files: list[Any] = [
        {"name": hostile, "mimeType": "image/jpeg", "buffer": red},
        {"name": "cut.tiff", "mimeType": "image/tiff", "buffer": PHOTOS["float.tiff"]},
    ]
    opened.page.set_input_files("#photos", files)
    opened.page.wait_for_selector("#answers li:nth-child(2):not(:empty)")
    answers = opened.page.locator("#answers li").all_inner_texts()
    assert answers[0].startswith(f"{hostile}: red <b>, ")
    assert "convert it to JPEG or PNG" in answers[1]
    assert opened.complaints == []
