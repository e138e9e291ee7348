"""Move the photos that a person decided on, and move them back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import contract
from cli import CliError
from cli.check import FolderPhotos, printable
from cli.check_list import Decision, content_of

__all__ = ["Move", "apply", "aside_folder", "undo"]

_LOG: Final = "moves.jsonl"
"""In the folder aside: a JSON object for each move that can be undone."""


@dataclass(frozen=True)
class Move:
    """A photo's way, relative to the folder that holds the folder aside."""

    source: str
    target: str


def aside_folder(folder: Path) -> Path:
    """Return the folder beside the data set's into which photos are moved; `whippet upload` does not see it.

    Where only a split was checked, such as photos/train, it lies beside the whole data set, too.
    """
    folder = folder.resolve()
    whole = folder.parent if folder.name.lower() in contract.SPLIT_FOLDERS else folder
    return whole.parent / f"{whole.name}.aside"


def apply(photos: FolderPhotos, decisions: list[Decision]) -> list[Move]:
    """Move the photos as decided and return their moves; nothing is deleted or overwritten.

    All decisions are looked at before the first photo is moved.

    Raises:
        CliError: a photo is not there, has changed since the check, or has two different decisions.
    """
    folder, aside = photos.folder.resolve(), aside_folder(photos.folder)
    planned = _checked(photos, decisions)
    if not planned:
        return []
    aside.mkdir(exist_ok=True)
    batch = datetime.now(tz=UTC).isoformat()

    done = []
    with (aside / _LOG).open("a", encoding="ascii") as log:
        for decision, place in planned:
            source = folder / decision.path
            target = _free(aside / decision.path if decision.action == "aside" else folder / place)
            move = Move(*(path.relative_to(aside.parent).as_posix() for path in (source, target)))
            # first the log: a move that it does not know could not be undone
            log.write(json.dumps({"batch": batch, "from": move.source, "to": move.target}) + "\n")
            log.flush()
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, target)
            done.append(move)
    return done


def undo(folder: Path) -> tuple[list[Move], list[Move]]:
    """Move the photos of the last `apply` back; return their moves, and those that could not be undone.

    A move cannot be undone if the photo is gone from where it was moved, or if another is where it came from.

    Raises:
        CliError: there is nothing to undo.
    """
    aside = aside_folder(folder)
    log = aside / _LOG
    entries = [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()] if log.exists() else []
    if not entries:
        raise CliError(f"there is nothing to undo: {log} does not exist or is empty")

    last = entries[-1]["batch"]
    done, left = [], []
    for entry in reversed([entry for entry in entries if entry["batch"] == last]):
        move = Move(entry["to"], entry["from"])
        source, target = aside.parent / move.source, aside.parent / move.target
        if source.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, target)
            done.append(move)
        elif not (target.exists() and not source.exists()):  # that move was never made
            left.append(move)
    kept = [json.dumps(entry) + "\n" for entry in entries if entry["batch"] != last]
    log.write_text("".join(kept), encoding="ascii")
    return done, left


def _checked(photos: FolderPhotos, decisions: Iterable[Decision]) -> list[tuple[Decision, str]]:
    """Return each photo's decision once, with its place among the photos of its new class."""
    known = {photo["path"]: photo for photo in photos.photos}
    planned: dict[str, tuple[Decision, str]] = {}
    for decision in decisions:
        name, line = printable(decision.path), f"line {decision.line}"
        photo = known.get(decision.path)
        if photo is None:
            raise CliError(
                f"{line}: {name} is not a photo of {printable(str(photos.folder))}: was it moved, or is the list of "
                "another folder? Nothing was moved; check the folder again, or empty the row's action"
            )
        if content_of(photos.folder / decision.path) != decision.content:
            raise CliError(
                f"{line}: {name} has changed since it was checked. Nothing was moved; check the folder again, or empty "
                "the row's action"
            )

        place = decision.path
        if decision.action == "relabel":
            old, new = photos.classes[photo["label"]], decision.looks_like
            if new not in photos.classes:
                raise CliError(
                    f"{line}: {name} cannot be moved to the class {printable(new)!r}, which {photos.folder} does not "
                    "have; write one of its classes into looks_like, or aside into action. Nothing was moved"
                )
            parts = decision.path.split("/")
            parts[0 if photo["split"] is None else 1] = new
            place = "/".join(parts)
            if new == old:
                continue
        before = planned.setdefault(decision.path, (decision, place))
        if (before[0].action, before[1]) != (decision.action, place):
            raise CliError(
                f"{line}: {name} has another decision in line {before[0].line}; leave one of the two. Nothing was moved"
            )
    return list(planned.values())


def _free(path: Path) -> Path:
    """Return the path, or with a number in its name if there is such a file already."""
    free, number = path, 2
    while free.exists() or free.is_symlink():
        free, number = path.with_name(f"{path.stem} ({number}){path.suffix}"), number + 1
    return free
