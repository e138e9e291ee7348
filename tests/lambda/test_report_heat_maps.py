"""The report's pictures of what the model looked at, beside its hardest mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.report_files import RUN
from tests.fakes.report_page import Parsed
from tests.fakes.report_run import files

KEY = f"runs/{RUN}/results/heat_maps.json"


def heat_maps(page: Parsed) -> list[dict[str, str | None]]:
    return [tag for name, tag in page.tags if name == "img" and (tag["alt"] or "").startswith("Where the model saw")]


def test_heat_maps_stand_beside_the_hardest_mistakes(write: Any) -> None:
    page = Parsed(write(files()))
    shown = heat_maps(page)
    assert len(shown) == 3
    assert {(tag["src"] or "")[:23] for tag in shown} == {"data:image/jpeg;base64,"}
    assert len([tag for name, tag in page.tags if name == "li" and tag.get("class") == "explained"]) == 3
    assert "orange places spoke for its answer" in page.sections["mistakes"]


@pytest.mark.parametrize("content", [None, b"{}", b"[]", b"{", b'{"test/x.jpg": 7}'])
def test_a_model_without_heat_maps_has_mistakes_without_them(write: Any, content: bytes | None) -> None:
    objects = {key: value for key, value in files().items() if key != KEY}
    assert len(objects) == len(files()) - 1
    page = Parsed(write(objects if content is None else objects | {KEY: content}))
    assert heat_maps(page) == []
    assert "orange" not in page.sections["mistakes"]
    assert "Often it is the label that is wrong" in page.sections["mistakes"]
