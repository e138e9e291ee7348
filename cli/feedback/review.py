"""Download what waits, and write a page to look at and a list to decide in."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import contract
from cli.check import new_folder, printable
from cli.feedback.dataset import BucketDataset
from cli.feedback.decisions import write_decisions
from cli.feedback.inbox import Inbox
from cli.review_page import render
from cli.training_environment import run_in_training_environment

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["MOST_REVIEWED", "PHOTOS", "ReviewItem", "review"]

MOST_REVIEWED: Final = 500
"""Photos of one review: as many as a person looks at in one go, and a page shows at once."""

PHOTOS: Final = "photos"
"""Folder of the photos, below the review's."""


@dataclass(frozen=True)
class ReviewItem:
    """A photo that waits, with what a person should know of it."""

    record: contract.Feedback
    file: str
    """Its path below the review's folder."""
    remark: str


def review(inbox: Inbox, ids: Sequence[str], *, dataset: BucketDataset, parent: Path, console: Console) -> Path:
    """Write the oldest feedback into a new folder below `parent`: its photos, the page and the list; return the folder.

    Raises:
        CliError: the training environment, which makes the thumbnails, is missing or failed.
    """
    output = new_folder(parent, name="feedback")
    try:
        _write(inbox, ids, dataset=dataset, output=output, console=console)
    except BaseException:
        shutil.rmtree(output)  # strangers' photos, which nobody would look for there
        raise
    return output


def _write(inbox: Inbox, ids: Sequence[str], *, dataset: BucketDataset, output: Path, console: Console) -> None:
    records = [record for record in inbox.records(islice(ids, MOST_REVIEWED)) if record is not None]
    names = inbox.photos(records, folder=output / PHOTOS)
    found = [(record, f"{PHOTOS}/{name}") for record, name in zip(records, names, strict=True) if name]

    previews = _previews(output, [file for _, file in found], console=console)
    items = [
        ReviewItem(record, file, "; ".join(_remarks(record, file, output, dataset, records, previews)))
        for record, file in found
    ]
    groups = _by_label(items)
    write_decisions(output / "feedback.csv", [_row(item) for group in groups for item in group])
    page = render(
        "feedback.html.jinja",
        count=len(items),
        groups=groups,
        classes=dataset.classes,
        thumbnails=previews["thumbnails"],
        more=len(ids) - len(records),
    )
    (output / "feedback.html").write_text(page, encoding="utf-8")


def _previews(output: Path, files: list[str], *, console: Console) -> contract.Previews:
    made = output / "previews.json"
    request: contract.PreviewsRequest = {
        "folder": str(output.resolve()),
        "photos": files,
        "output": str(made.resolve()),
    }
    run_in_training_environment("training.preview_photos", request, what="making thumbnails", console=console)
    found: contract.Previews = json.loads(made.read_text(encoding="ascii"))
    made.unlink()
    return found


def _remarks(
    record: contract.Feedback,
    file: str,
    output: Path,
    dataset: BucketDataset,
    records: Sequence[contract.Feedback],
    previews: contract.Previews,
) -> list[str]:
    """Return what a person should know before adding a photo."""
    remarks = []
    label = record["label"]
    if file in previews["unreadable"]:
        remarks.append(f"cannot be read: {previews['unreadable'][file]}")
    if label not in dataset.classes:
        alike = dataset.alike(label)
        remarks.append(f"looks the same as the class {alike}: write that label" if alike else "a new class")
    for place in dataset.holding((output / file).read_bytes()):
        remarks.append(f"in the data set already, as {place.path}")
    others = sorted({each["label"] for each in records if each["content"] == record["content"]} - {label})
    if others:
        remarks.append(f"was also said to be {', '.join(others)}")
    return remarks


def _by_label(items: Sequence[ReviewItem]) -> list[list[ReviewItem]]:
    """Return the items of each label, the most frequent label first."""
    groups = defaultdict(list)
    for item in items:
        groups[item.record["label"]].append(item)
    return sorted(groups.values(), key=lambda group: (-len(group), group[0].record["label"]))


def _row(item: ReviewItem) -> dict[str, str]:
    record = item.record
    return {
        "action": "",
        "label": record["label"],
        "answered": record["answered"] or "",
        "remark": printable(item.remark),
        "photo": item.file,
        "received": record["received"],
        "run": record["run"] or "",
        "request_id": record["request_id"] or "",
        "id": record["id"],
    }
