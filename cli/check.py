"""Check a folder's photos with the data doctor, which runs in the training environment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Column, Table
from rich.text import Text

import contract
from cli import CliError
from cli.check_list import write_list
from cli.check_page import page
from cli.findings import left_out_lines
from cli.photos import Photos, find_photos
from cli.training_environment import run_in_training_environment

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["FolderPhotos", "check_folder", "new_folder", "photos_of", "printable"]

_SHOWN: Final = 5
"""Findings of each kind that are printed; the page and the list have more."""


@dataclass(frozen=True)
class FolderPhotos:
    """The photos of a folder, with their classes and splits."""

    folder: Path
    classes: list[str]
    photos: list[contract.CheckedPhoto]
    found: Photos
    """The same photos as an upload finds them, with what it leaves out."""


def photos_of(folder: Path) -> FolderPhotos:
    """Return the photos that `whippet upload` would take, each with its class and its split.

    Raises:
        CliError: there are none.
    """
    found = find_photos(folder)
    classes = sorted(found.classes)
    labels = {name: label for label, name in enumerate(classes)}
    return FolderPhotos(
        folder=folder,
        classes=classes,
        photos=[
            {"path": path.as_posix(), "label": labels[name], "split": split}
            for path, name, split in zip(found.paths, found.labels, found.splits, strict=True)
        ],
        found=found,
    )


def check_folder(folder: Path, *, state: Path, console: Console) -> Path:
    """Check a folder, print what was found, and return the folder of the page and the list.

    Raises:
        CliError: there are no photos, the training environment is missing, or the check failed.
    """
    photos = photos_of(folder)
    output = new_folder(state / "checks", name=folder.resolve().name)
    _examine(photos, kept=state / "doctor", output=output, console=console)
    check: contract.DatasetCheck = json.loads((output / contract.Artefact.CHECK).read_text(encoding="ascii"))
    thumbnails: dict[str, str] = json.loads((output / contract.Artefact.THUMBNAILS).read_text(encoding="ascii"))

    write_list(output / "check.csv", check=check, folder=folder)
    html = page(
        check,
        thumbnails=thumbnails,
        folder=folder,
        remarks=[printable(remark) for remark in photos.found.remarks],
        left_out=[(printable(file["path"]), printable(file["reason"])) for file in photos.found.left_out],
    )
    (output / "check.html").write_text(html, encoding="utf-8")
    (output / contract.Artefact.THUMBNAILS).unlink()
    left_out = [*photos.found.remarks, *left_out_lines(photos.found, state=state)]
    _print(check, left_out=left_out, folder=folder, output=output, console=console)
    return output


def printable(text: str) -> str:
    """Return text without what a terminal or a page cannot show: control characters, and bytes that are no UTF-8."""
    whole = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in whole)


def new_folder(parent: Path, *, name: str) -> Path:
    """Make a folder for one check or review, so that no list that a person has worked on is overwritten."""
    stem = f"{name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    for number in range(1, 1000):
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise CliError(f"{parent} holds too many folders of this second; delete some of them")


def _examine(photos: FolderPhotos, *, kept: Path, output: Path, console: Console) -> None:
    request: contract.CheckRequest = {
        "folder": str(photos.folder.resolve()),
        "classes": photos.classes,
        "photos": photos.photos,
        "kept": str(kept.resolve()),
        "output": str(output.resolve()),
    }
    run_in_training_environment("training.check_photos", request, what="the check", console=console)


def _print(
    check: contract.DatasetCheck, *, left_out: Sequence[str], folder: Path, output: Path, console: Console
) -> None:
    def say(text: str) -> None:
        # as text and not as markup: a file's name may hold square brackets
        console.print(Text(text), highlight=False, soft_wrap=True)

    findings = check["findings"]
    suspected = len({finding["path"] for finding in findings})
    say(
        f"{contract.counted(check['photos'], 'photo')} in {contract.counted(len(check['classes']), 'class')} of "
        f"{printable(str(folder))}; "
        f"look at {suspected:,} of them ({suspected / max(check['photos'], 1):.1%})"
    )
    for line in (*left_out, *check["remarks"]):
        say(printable(line))

    # the first of each kind
    counts = Counter(finding["kind"] for finding in findings)
    for kind, meaning in contract.FINDING_KINDS.items():
        if not counts[kind]:
            continue
        say(f"\n{kind} ({counts[kind]:,}): {meaning}")
        table = Table(Column("photo", overflow="fold"), Column("reason", overflow="fold"), box=None, show_header=False)
        for finding in [finding for finding in findings if finding["kind"] == kind][:_SHOWN]:
            table.add_row(Text(f"  {printable(finding['path'])}"), Text(printable(finding["reason"])))
        console.print(table, highlight=False)
        if counts[kind] > _SHOWN:
            say(f"  and {counts[kind] - _SHOWN:,} more")

    say(f"\nlook at them: {output / 'check.html'}")
    if findings:
        say(
            f"act on them: in {output / 'check.csv'}, write aside or relabel into the column action of the photos that "
            f"you agree about, then: whippet check {printable(str(folder))} --apply {output / 'check.csv'}"
        )
