"""What `whippet upload` found in a folder beside good photos, in words."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cli.photos import Photos
from contract import counted

__all__ = ["copy_lines", "left_out_lines"]

_NAMED = 5


def left_out_lines(photos: Photos, *, state: Path) -> Iterator[str]:
    """Yield the lines that name the files that were left out, by reason.

    Where a reason has more than five files, all of them are written to `left-out.csv` in the folder `state`.
    """
    by_reason: dict[str, list[str]] = defaultdict(list)
    for file in photos.left_out:
        by_reason[file["reason"]].append(file["path"])

    if by_reason:
        yield f"left out: {counted(len(photos.left_out), 'file')}"
    for reason, paths in sorted(by_reason.items()):
        yield f"  {reason}: {_first(paths)}"
    if any(len(paths) > _NAMED for paths in by_reason.values()):
        state.mkdir(parents=True, exist_ok=True)
        with (state / "left-out.csv").open("w", encoding="utf-8", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(("path", "reason"))
            writer.writerows((file["path"], file["reason"]) for file in photos.left_out)
        yield f"  each of them with its reason: {state / 'left-out.csv'}"


def copy_lines(photos: Photos, contents: Mapping[Path, str]) -> Iterator[str]:
    """Yield the lines that name each photo that lies in several classes; `contents` holds the hashes of the photos."""
    places: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path, label in zip(photos.paths, photos.labels, strict=True):
        places[contents[path]].append((label, path.as_posix()))
    found = [[path for _, path in copies] for copies in places.values() if len({label for label, _ in copies}) > 1]
    if found:
        yield (
            f"{counted(len(found), 'photo')} in more than one class, so that one of the labels is wrong; keep each in "
            "the right class only:"
        )
    yield from (f"  {' = '.join(paths)}" for paths in found)


def _first(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more
