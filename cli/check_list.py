"""The list of findings that a person edits in a spreadsheet, and what it says afterwards."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import contract
from cli import CliError

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

_FORMULA: Final = tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")
"""First letters of cells that spreadsheets may run as a formula, the full-width ones of East Asian keyboards among them
(OWASP, CSV Injection), and the apostrophe that marks such a cell as text."""


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
    classes = check["classes"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for finding in check["findings"]:
        suggested = finding["suggested"]
        row = {
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
        writer.writerow(_escaped(row[column]) for column in COLUMNS)
    # With a byte order mark, by which Excel tells UTF-8. A file's name may hold bytes that are no UTF-8.
    file.write_bytes(text.getvalue().encode("utf-8-sig", "surrogateescape"))


def read_list(file: Path) -> list[Decision]:
    """Return the rows of a list that say what to do; the others are left alone.

    Spreadsheets may have saved it with semicolons or tabs.

    Raises:
        CliError: there is no such file, it is not a list of `whippet check`, or an action is unknown.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise CliError(
            f"{file} cannot be read ({error.strerror}): give the check.csv that `whippet check` wrote"
        ) from None
    first = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise CliError(
            f"{file} has no column {', '.join(missing)}: give the check.csv that `whippet check` wrote, with its first "
            "line as it was"
        )

    decisions = []
    for row in rows:
        cells = {column: _unescaped(row[column] or "") for column in COLUMNS}
        action = cells["action"].strip().lower()
        if not action:
            continue
        if action not in get_args(Action):
            raise CliError(
                f"{file}, line {rows.line_num}: the action {action!r} is unknown; write aside, relabel, or nothing to "
                "leave the photo where it is. Nothing was moved"
            )
        decisions.append(
            Decision(
                line=rows.line_num,
                action="aside" if action == "aside" else "relabel",
                path=cells["photo"],
                looks_like=cells["looks_like"],
                content=cells["content"],
            )
        )
    return decisions


def content_of(photo: Path) -> str:
    """Return what tells the photo's content from another's, as text that no spreadsheet takes for a number."""
    try:
        return f"sha256:{hashlib.sha256(photo.read_bytes()).hexdigest()[:32]}"
    except OSError:
        return ""


def _escaped(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _unescaped(cell: str) -> str:
    return cell[1:] if cell.startswith("'") else cell
