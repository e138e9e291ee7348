"""A run's report as a browser would read it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

__all__ = ["LIBRARY", "SECTIONS", "Parsed"]

LIBRARY = "/* the charting library */"
"""What stands in for it."""

SECTIONS = [
    "outcome", "photos", "confusion", "mistakes", "classes", "comparison", "trend", "unknown", "dataset", "calibration",
    "serving", "tuning", "curves", "rules", "profile", "cost", "provenance",
]  # fmt: skip


class Parsed(HTMLParser):
    """What a browser would make of the page, as far as these tests ask."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._script = False
        self.sections: dict[str, str] = {}
        self._section = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = tag == "script"
        if tag == "section":
            self._section = dict(attrs)["id"] or ""
            self.sections[self._section] = ""

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts.append(data)
        else:
            self.text += data
            if self._section:
                self.sections[self._section] += " ".join(data.split()) + " "

    @property
    def charts(self) -> dict[str, Any]:
        charts: dict[str, Any] = json.loads(self.scripts[0])
        return charts
