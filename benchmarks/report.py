"""The results for people: a table for the terminal, and a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["merged", "rendered", "table"]

_HEADINGS = ["what", "unit", "ours", "the others", "ratio", "goal", "holds"]
_IN_COLUMNS = (0, 2, 4, 5, 6)

_INTRODUCTION = """# Benchmarks

Written by `make bench` from `benchmarks/results.json`; not edited by hand. Candidates are measured in turns on the same
data and their medians are compared, so that a busy moment of the machine hits all of them. A ratio above 1 means that
ours is better, unless the goal says otherwise. The baseline is the usual script for transfer learning: Pillow,
torchvision's first transforms, the whole network in float32 for every photo, epoch and trial.

| what | unit | ours | the others | ratio | goal | holds |
| --- | --- | ---: | --- | ---: | --- | --- |
"""


def merged(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the earlier results, with those that were measured again replaced."""
    measured = {result["name"] for result in now}
    return [result for result in before if result["name"] not in measured] + now


def table(results: list[dict[str, Any]]) -> str:
    """Return a table for the terminal, with the peers on lines of their own, since there may be many."""
    rows = [_HEADINGS, *(_cells(result) for result in results)]
    narrow = [[row[at] for at in _IN_COLUMNS] for row in rows]
    widths = [max(len(row[column]) for row in narrow) for column in range(len(_IN_COLUMNS))]
    lines: list[str] = []
    for row, cells in zip(rows, narrow, strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        if row is not _HEADINGS:
            lines.append(f"    {row[1]}; {row[3]}")
    return "\n".join(lines)


def rendered(results: list[dict[str, Any]]) -> str:
    """Return the page of the documentation."""
    rows = "".join(_row(_cells(result)) for result in results)
    machines = sorted({(result["machine"], result["date"]) for result in results})
    measured = "".join(f"- {machine}, {date}\n" for machine, date in machines)
    sections = "".join(_section(result) for result in results if result.get("table"))
    return f"{_INTRODUCTION}{rows}{sections}\nMeasured on:\n\n{measured}"


def _section(result: dict[str, Any]) -> str:
    headings = list(result["table"][0])
    rows = "".join(_row(row.values()) for row in result["table"])
    return f"\n## {result['name']}\n\n{_row(headings)}{_row('---' for _ in headings)}{rows}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def _cells(result: dict[str, Any]) -> list[str]:
    peers = ", ".join(f"{peer} {_number(value)}" for peer, value in result["peers"].items())
    return [
        result["name"],
        result["unit"],
        _number(result["ours"]),
        peers,
        f"{_number(result['ratio'])} x {result['against']}",
        result["goal"],
        "yes" if result["holds"] else "NO",
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
