"""docs/operations.md says the same of each alarm as the message about it, and names commands that exist."""

from __future__ import annotations

import re

import pytest
import typer.main

from cli.main import typer_app
from cli.target import ROOT
from contract import ALARMS, Alarm

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("alarm", list(Alarm))
def test_every_alarm_has_its_section(alarm: Alarm) -> None:
    section = words(PAGE.partition(f"\n### {alarm}\n")[2].partition("\n### ")[0])
    assert section.startswith(words(ALARMS[alarm].meaning))
    for number, step in enumerate(ALARMS[alarm].steps, start=1):
        assert f"{number}. {words(step)}" in section


def test_the_page_has_no_other_alarms() -> None:
    assert re.findall(r"^### (.+)$", PAGE.partition("## The alarms")[2], re.MULTILINE) == list(Alarm)


def test_the_commands_exist() -> None:
    verbs = set(typer.main.get_command(typer_app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"`whippet (?:--profile NAME )?([a-z-]+)", PAGE))
    assert named
    assert named <= verbs
