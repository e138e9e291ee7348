"""SKILL.md: every command in it exists with its options, and none that can cost comes without its plan."""

from __future__ import annotations

import re
import shlex
from typing import Any

import click
import pytest
import typer

from cli import main
from cli.target import ROOT
from infra.settings import Settings

TEXT = (ROOT / "SKILL.md").read_text()
LINES = [
    line for block in re.findall(r"^```console\n(.*?)^```", TEXT, re.S | re.M) for line in block.strip().splitlines()
]


def command_of(line: str) -> tuple[str, dict[str, Any], click.Context]:
    """Return the command of a line with what it was given, parsed as the command line does."""
    group: Any = typer.main.get_command(main.typer_app)
    words = shlex.split(line)
    assert words[0] == "whippet"
    shared = group.make_context("whippet", words[1:])
    left: list[str] = [*shared._protected_args, *shared.args]
    name, rest = left[0], left[1:]
    command = group.commands[name]
    return name, command.make_context(name, rest, parent=shared).params, shared


def test_it_says_who_it_is_for() -> None:
    front = re.match(r"---\n(.*?)\n---\n", TEXT, re.S)
    assert front is not None
    fields = dict(line.split(": ", 1) for line in front[1].splitlines())
    assert fields["name"] == "whippet"
    assert re.fullmatch(r"[a-z0-9-]{1,64}", fields["name"])
    assert 50 < len(fields["description"]) <= 1024


@pytest.mark.parametrize("line", LINES)
def test_every_command_is_there_with_its_options(line: str) -> None:
    name, params, shared = command_of(line)
    assert params is not None, name
    for override in shared.params["c"] or []:
        setting, _, value = override.partition("=")
        section, _, field = setting.partition(".")
        Settings.model_validate({"serving": {"mode": "serverless"}, section: {field: value}})


def test_what_can_cost_in_aws_is_planned_before_it_is_done() -> None:
    planned: set[str] = set()
    for line in LINES:
        name, params, shared = command_of(line)
        in_aws = shared.params["region"] is not None
        if params.get("plan") or name == "cost":
            planned.add("run" if name == "cost" else name)
        elif in_aws and "plan" in params and not any(str(photo) == "PHOTO" for photo in params.get("photos") or []):
            assert name in planned, line


def test_every_option_in_its_text_is_one_of_the_command_line() -> None:
    group: Any = typer.main.get_command(main.typer_app)
    known = {
        option
        for command in (group, *group.commands.values())
        for each in command.params
        for option in (*each.opts, *each.secondary_opts)
    }
    prose = re.sub(r"^```.*?^```|`curl [^`]*`", "", TEXT.split("---", 2)[2], flags=re.S | re.M)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", prose)) <= known
