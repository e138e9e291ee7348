"""The table of docs/rollout.md: what callers met while models were rolled out under load.

tests/system/soak/test_guarded_rollout.py measures it, and writes it where WHIPPET_WRITE_FIGURES is set.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, TypedDict

__all__ = ["DOCUMENT", "RESULTS", "Measured", "RolloutFigures", "merged", "page", "table", "write"]

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "benchmarks" / "rollouts.json"
DOCUMENT: Final = ROOT / "docs" / "rollout.md"
_BEGIN: Final = "<!-- measured: `WHIPPET_WRITE_FIGURES=1 pytest tests/system/soak/test_guarded_rollout.py` -->\n"
_END: Final = "<!-- end of measured -->\n"


class RolloutFigures(TypedDict):
    """What happened in one release under load."""

    model: str
    """How the new model was."""
    ended: str
    """How the run ended: `released`, or its error."""
    requests: int
    per_second: float
    """Of the machine's clock."""
    failed_inside: int
    """Failed requests that the new model had got: those of the canary."""
    failed_outside: int
    back_after: float | None
    """Seconds of the cloud's clock from the canary's first request to the rollback; None where none was."""
    told: str
    """What the topic was told."""


class Measured(TypedDict):
    """Releases under the same conditions, and where they were measured."""

    machine: str
    date: str
    load: float
    """Load average of the minute before, of other programs; the highest of several sessions."""
    speed: float
    """How many times as fast as the machine's clock that of the cloud was."""
    canary_percent: int
    bake_seconds: int
    rows: list[RolloutFigures]


def table(measured: Measured) -> str:
    """Return the Markdown of the measurement."""
    lines = [
        "| the new model | the run ended as | requests (a second) | failed in the canary's share | failed outside | "
        "taken back after | told |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in measured["rows"]:
        back = "" if row["back_after"] is None else f"{row['back_after']:.0f} s of {measured['bake_seconds']}"
        lines.append(
            f"| {row['model']} | {row['ended']} | {row['requests']:,} ({row['per_second']:.1f}) | "
            f"{row['failed_inside']} | {row['failed_outside']} | {back} | {row['told']} |"
        )
    lines += [
        "",
        f"{measured['date']}, {measured['machine']}, load average {measured['load']:.1f} before; a canary of "
        f"{measured['canary_percent']} %, bakes of {measured['bake_seconds']} s of the cloud's clock, which ran "
        f"{measured['speed']:g} times as fast as the machine's. Times have the steps of the alarms, a minute each.",
    ]
    return "\n".join(lines) + "\n"


def page(document: str, measured: Measured) -> str:
    """Return a document with the measurement between its marks."""
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table(measured)}\n{_END}{after}"


def merged(earlier: Measured | None, measured: Measured) -> Measured:
    """Return a measurement with the earlier rows of what it has not measured, where both had the same conditions."""
    if earlier is None or _conditions(earlier) != _conditions(measured):
        return measured
    new = {row["model"]: row for row in measured["rows"]}
    rows = [new.pop(row["model"], row) for row in earlier["rows"]]
    return {**measured, "load": max(earlier["load"], measured["load"]), "rows": [*rows, *new.values()]}


def _conditions(measured: Measured) -> tuple[object, ...]:
    return (
        measured["machine"],
        measured["date"],
        measured["speed"],
        measured["canary_percent"],
        measured["bake_seconds"],
    )


def write(measured: Measured) -> None:
    """Keep a measurement, and put it into the document."""
    if RESULTS.exists():
        measured = merged(json.loads(RESULTS.read_text(encoding="utf-8")), measured)
    RESULTS.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    DOCUMENT.write_text(page(DOCUMENT.read_text(encoding="utf-8"), measured), encoding="utf-8")
