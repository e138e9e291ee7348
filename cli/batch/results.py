"""The results of a batch: a row for every photo, as CSV and as JSON Lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from cli import CliError
from cli.batch.photos import BatchPhoto

__all__ = ["COLUMNS", "Counts", "write_results"]

COLUMNS: Final = ("path", "label", "score", "known", "distance", "labels", "scores", "error")

Counts = dict[str, int]


def write_results(output: Path, photos: Iterable[BatchPhoto], answers: Mapping[str, Any]) -> Counts:
    """Write `output`.csv and `output`.jsonl, whole or not at all, and return how many photos got what.

    Args:
        output: the files' name without a suffix.
        photos: all of the batch's, in the order of the rows.
        answers: what the model said, by the photos' names.

    Raises:
        CliError: they cannot be written there.
    """
    counts = {"answered": 0, "unknown": 0, "errors": 0}
    table, lines = (output.with_name(f"{output.name}{suffix}") for suffix in (".csv", ".jsonl"))
    parts = [file.with_name(f"{file.name}.part") for file in (table, lines)]
    try:
        with (
            parts[0].open("w", encoding="utf-8", newline="") as csv_file,
            parts[1].open("w", encoding="utf-8") as jsonl_file,
        ):
            writer = csv.DictWriter(csv_file, COLUMNS)
            writer.writeheader()
            for photo in photos:
                row = _row(photo, answers.get(photo.name))
                counts["errors" if row["error"] else "answered"] += 1
                counts["unknown"] += row["known"] is False
                jsonl_file.write(f"{json.dumps(row, ensure_ascii=False)}\n")
                writer.writerow(_cells(row))
        for part, file in zip(parts, (table, lines), strict=True):
            part.replace(file)
    except OSError as error:
        raise CliError(f"{table} cannot be written ({error.strerror}): name another file with --output") from None
    return counts


def _row(photo: BatchPhoto, answer: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row["path"] = photo.path
    if answer is None or "error" in answer:
        refused = answer["error"]["detail"] if answer else "the model gave no answer in two jobs; their log may say why"
        row["error"] = photo.problem or refused
        return row
    # with a coverage the labels of the set, else the likeliest
    chosen = answer.get("labels")
    likeliest = [each for each in answer["predictions"] if chosen is None or each["label"] in chosen]
    return row | {
        "label": answer["label"],
        "score": answer["score"],
        "known": answer["known"],
        "distance": answer["distance"],
        "labels": [each["label"] for each in likeliest],
        "scores": [each["score"] for each in likeliest],
    }


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's cells: lists as JSON, since a label may hold any separator, and truth values in words."""
    cells = {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value for name, value in row.items()
    }
    return cells | {"known": {True: "yes", False: "no", None: ""}[row["known"]]}
