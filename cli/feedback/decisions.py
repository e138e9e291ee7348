"""The list of feedback that a person edits in a spreadsheet, and what it says afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import contract
from cli import CliError
from cli.spreadsheet import read_rows, write_rows

__all__ = ["COLUMNS", "Action", "Decision", "read_decisions", "write_decisions"]

Action = Literal["add", "reject"]

COLUMNS: Final = ("action", "label", "answered", "remark", "photo", "received", "run", "request_id", "id")


@dataclass(frozen=True)
class Decision:
    """What a person decided on one photo."""

    line: int
    action: Action
    label: str
    """The class that it is added to: what the sender said, or what the person wrote in its place."""
    id: str


def write_decisions(file: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write a row for each photo, with the columns `COLUMNS`."""
    write_rows(file, COLUMNS, rows)


def read_decisions(file: Path) -> list[Decision]:
    """Return the rows of a list that say what to do; the others are left alone.

    Raises:
        CliError: there is no such file, it is not a list of `whippet feedback`, an action is unknown, or a label cannot
            be a class.
    """
    decisions: dict[str, Decision] = {}
    for line, cells in read_rows(file, COLUMNS, expected="the feedback.csv that `whippet feedback` wrote"):
        action, label, identity = cells["action"].strip().lower(), cells["label"].strip(), cells["id"].strip()
        if not action:
            continue
        where = f"{file}, line {line}"
        if action not in get_args(Action):
            raise CliError(
                f"{where}: the action {action!r} is unknown; write add, reject, or nothing to leave the photo waiting. "
                "Nothing was changed"
            )
        if contract.feedback_id_in(contract.feedback_key(identity)) is None:
            raise CliError(f"{where}: {identity!r} is no id; leave that column as it was. Nothing was changed")
        if action == "add" and not contract.is_label(label):
            raise CliError(
                f"{where}: the label {label!a} cannot be a class folder; write readable text without slashes. Nothing "
                "was changed"
            )
        decision = Decision(line, "add" if action == "add" else "reject", label, identity)
        if decisions.setdefault(identity, decision) is not decision:
            raise CliError(
                f"{where}: the same photo and label stand in line {decisions[identity].line}; leave one of the two. "
                "Nothing was changed"
            )
    return list(decisions.values())
