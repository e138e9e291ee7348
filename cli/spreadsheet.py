"""Tables that a person edits in a spreadsheet: CSV files that Excel and its likes open and save again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from cli import CliError

__all__ = ["read_rows", "write_rows"]

_FORMULA: Final = tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")
"""First letters of cells that spreadsheets may run as a formula, the full-width ones of East Asian keyboards among them
(OWASP, CSV Injection), and the apostrophe that marks such a cell as text."""


def write_rows(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a table of these columns; no cell of it runs as a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_escaped(row[column]) for column in columns] for row in rows)
    # With a byte order mark, by which Excel tells UTF-8. A file's name may hold bytes that are no UTF-8.
    file.write_bytes(text.getvalue().encode("utf-8-sig", "surrogateescape"))


def read_rows(file: Path, columns: Sequence[str], *, expected: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table with their line numbers. Spreadsheets may have saved it with semicolons or tabs.

    Args:
        file: the table.
        columns: which it must have.
        expected: what should have been given, such as `the check.csv that "whippet check" wrote`.

    Raises:
        CliError: there is no such file, or a column lacks.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise CliError(f"{file} cannot be read ({error.strerror}): give {expected}") from None
    first = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    missing = [column for column in columns if column not in (rows.fieldnames or ())]
    if missing:
        raise CliError(f"{file} has no column {', '.join(missing)}: give {expected}, with its first line as it was")
    for row in rows:
        yield rows.line_num, {column: _unescaped(row[column] or "") for column in columns}


def _escaped(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _unescaped(cell: str) -> str:
    return cell[1:] if cell.startswith("'") else cell
