"""The list of findings that a person edits in a spreadsheet, and what it says afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import contract
from cli import CliError
from cli.spreadsheet import read_rows, write_rows

__all__ = ["Action", "Decision", "content_of", "read_list", "write_list"]

Action = Literal["aside", "relabel"]

COLUMNS: Final = (
    "action",
    "kind",
    "photo",
    "class",
    "looks_like",
    "reason",
    "other_photo",
    "split",
    "group",
    "content",
)


@dataclass(frozen=True)
class Decision:
    """What a person decided on one photo."""

    line: int
    action: Action
    path: str
    """Below the data set's folder."""
    looks_like: str
    """The class that the photo gets by `relabel`."""
    content: str
    """`content_of` the photo when it was checked."""


def write_list(file: Path, *, check: contract.DatasetCheck, folder: Path) -> None:
    """Write a row for every finding, with an empty action."""
    rows = (_row(finding, classes=check["classes"], folder=folder) for finding in check["findings"])
    write_rows(file, COLUMNS, rows)


def read_list(file: Path) -> list[Decision]:
    """Return the rows of a list that say what to do; the others are left alone.

    Raises:
        CliError: there is no such file, it is not a list of `whippet check`, or an action is unknown.
    """
    decisions = []
    for line, cells in read_rows(file, COLUMNS, expected="the check.csv that `whippet check` wrote"):
        action = cells["action"].strip().lower()
        if not action:
            continue
        if action not in get_args(Action):
            raise CliError(
                f"{file}, line {line}: the action {action!r} is unknown; write aside, relabel, or nothing to leave the "
                "photo where it is. Nothing was moved"
            )
        decisions.append(
            Decision(
                line=line,
                action="aside" if action == "aside" else "relabel",
                path=cells["photo"],
                looks_like=cells["looks_like"],
                content=cells["content"],
            )
        )
    return decisions


def _row(finding: contract.PhotoFinding, *, classes: list[str], folder: Path) -> dict[str, str]:
    suggested = finding["suggested"]
    return {
        "action": "",
        "kind": finding["kind"],
        "photo": finding["path"],
        "class": classes[finding["label"]],
        "looks_like": "" if suggested is None else classes[suggested],
        "reason": finding["reason"],
        "other_photo": finding["other"] or "",
        "split": finding["split"] or "",
        "group": "" if finding["group"] is None else str(finding["group"] + 1),
        "content": content_of(folder / finding["path"]),
    }


def content_of(photo: Path) -> str:
    """Return what tells the photo's content from another's, as text that no spreadsheet takes for a number."""
    try:
        return f"sha256:{hashlib.sha256(photo.read_bytes()).hexdigest()[:32]}"
    except OSError:
        return ""
