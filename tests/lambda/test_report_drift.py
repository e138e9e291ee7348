"""The report's section on captured answers: the newest check, or why there is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

import contract
from tests.fakes.drift_check import drift_check
from tests.fakes.report_page import Parsed
from tests.fakes.report_run import files


def test_the_newest_check_is_shown_with_its_pictures(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKS_DRIFT", "true")
    content = write(files() | {contract.DRIFT_LATEST: json.dumps(drift_check()).encode()})
    page = Parsed(content)
    section = page.sections["drift"]
    assert "What is sent is unlike the test photos: class mix (33%), confidence (33%)." in section
    assert "the answers of the model of run run-1" in section
    assert "unknown (above 1): 5% of the test photos, 7% of the answers (5% to 9%)" in section
    labels = [attributes["aria-label"] or "" for tag, attributes in page.tags if tag == "svg"]
    assert [label.split(" to the")[0].split(":")[0] for label in labels] == ["Class mix", "Confidence", "Distance"]


def test_without_captured_answers_there_is_no_section_and_without_a_check_it_says_so(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "drift" not in Parsed(write(files())).sections
    monkeypatch.setenv("CHECKS_DRIFT", "true")
    assert "No check of captured answers has been made yet." in Parsed(write(files())).sections["drift"]
