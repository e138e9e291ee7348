"""The picture of a heat map that `whippet classify --explain` writes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from cli import CliError
from cli.api import Api
from cli.heat_map import check_name, write_heat_map
from cli.main import typer_app
from contract import HeatMap

SVG = "{http://www.w3.org/2000/svg}"
HEAT: HeatMap = {"label": "dog & <cat>", "values": [[1.0, 0.0], [-0.5, 0.0]], "crop": 0.5}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "a&b.png"
    file.write_bytes(b"pixels")
    return file


def test_the_drawing_lays_the_map_over_the_square_that_the_network_saw(photo: Path, tmp_path: Path) -> None:
    write_heat_map(tmp_path / "out.svg", photo=photo, heat_map=HEAT)
    drawing = ElementTree.fromstring((tmp_path / "out.svg").read_text(encoding="utf-8"))

    image = drawing.find(f"{SVG}image")
    assert image is not None
    assert base64.b64decode(image.attrib["href"].removeprefix("data:image/png;base64,")) == b"pixels"
    assert (image.attrib["width"], image.attrib["preserveAspectRatio"]) == ("640", "xMidYMid slice")

    for_it, nothing, against_it, _, frame = drawing.findall(f"{SVG}rect")
    assert (for_it.attrib["x"], for_it.attrib["y"], for_it.attrib["width"]) == ("160.00", "160.00", "160.00")
    assert (against_it.attrib["x"], against_it.attrib["y"]) == ("160.00", "320.00")
    assert for_it.attrib["fill"] != against_it.attrib["fill"]
    opacity = [float(rect.attrib["fill-opacity"]) for rect in (for_it, against_it, nothing)]
    assert 0.5 < opacity[0] < 0.8
    assert opacity[1:] == [pytest.approx(opacity[0] / 2, abs=1e-3), 0]
    assert (frame.attrib["x"], frame.attrib["width"]) == ("160.00", "320.00")

    text = drawing.find(f"{SVG}text")
    assert text is not None
    assert (text.text or "").startswith("dog & <cat>: orange speaks for it")


def test_a_page_holds_the_same_drawing(photo: Path, tmp_path: Path) -> None:
    for kind in ("svg", "html"):
        write_heat_map(tmp_path / f"out.{kind}", photo=photo, heat_map=HEAT)
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "<title>a&amp;b.png: dog &amp; &lt;cat&gt;</title>" in page
    assert (tmp_path / "out.svg").read_text(encoding="utf-8") in page


def test_a_name_that_cannot_be_written_is_told_before_the_photo_is_sent(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"ends in \.svg or \.html"):
        check_name(tmp_path / "out.jpg")
    with pytest.raises(CliError, match="there is no folder"):
        check_name(tmp_path / "none" / "out.svg")


def test_the_command_asks_for_the_map_and_writes_it(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def classify(_: Api, __: Path, **wanted: Any) -> dict[str, Any]:
        asked.append(wanted)
        content = {"label": "dog", "score": 1.0, "known": True, "distance": 0.1, "predictions": []}
        return {**content, "heat_map": HEAT} if wanted["explain"] else content

    monkeypatch.setattr(Api, "classify", classify)
    monkeypatch.setattr(Api, "of", lambda _: Api("http://api/", "key"))
    monkeypatch.setattr("cli.commands.shared.find_target", lambda *_, **__: None)
    out = tmp_path / "out.svg"

    CliRunner().invoke(typer_app, ["classify", str(photo)])
    assert not out.exists()
    CliRunner().invoke(typer_app, ["classify", str(photo), "--explain", str(out)])
    assert "dog &amp; &lt;cat&gt;" in out.read_text(encoding="utf-8")
    assert [wanted["explain"] for wanted in asked] == [False, True]

    refused = CliRunner().invoke(typer_app, ["classify", str(photo), str(photo), "--explain", str(out)])
    assert "one photo" in str(refused.exception)
    assert len(asked) == 2
