"""Act on the list: photos that a person confirmed go into the data set, and what was decided on leaves the inbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.check import printable
from cli.feedback.dataset import BucketDataset
from cli.feedback.decisions import Decision
from cli.feedback.inbox import Inbox
from cli.feedback.review import PHOTOS
from cli.upload import put_photo

__all__ = ["ADDED", "Applied", "apply_decisions"]

ADDED: Final = "added"
"""Folder of the photos that were added, below the review's, with a folder for each class."""

_THREADS: Final = 8


@dataclass(frozen=True)
class Applied:
    """What became of the decisions."""

    added: int
    there: int
    """Photos that the data set had already in the same class."""
    rejected: int
    gone: int
    """Decisions on what no longer waits: an earlier `--apply` did them, or the photos are too old."""
    classes: Counter[str]
    """Photos that the classes of the added ones have now."""


@dataclass(frozen=True)
class _Step:
    """A decision that can be carried out."""

    decision: Decision
    record: contract.Feedback
    file: Path
    """The photo, on this machine."""
    path: str
    """Where it goes below the data set's prefix; empty where it is rejected, or the data set has it."""


def apply_decisions(decisions: Sequence[Decision], *, inbox: Inbox, dataset: BucketDataset, folder: Path) -> Applied:
    """Carry the decisions out; all are looked at before the first.

    Each photo is in the data set, under a name made of its content, before it leaves the inbox: after an interruption
    the same list goes on, and nothing is lost or added twice.

    Args:
        decisions: of a list.
        inbox: where the photos wait.
        dataset: where they go to.
        folder: the review's.

    Raises:
        CliError: a photo is damaged or gone, would be in two classes, or its folder could not be understood.
    """
    records = list(inbox.records(decision.id for decision in decisions))
    found = list(zip(decisions, records, strict=True))
    waiting = [(decision, record) for decision, record in found if record is not None]
    gone = [decision for decision, record in found if record is None]

    # look at all of them before the first
    steps = _steps(waiting, inbox=inbox, dataset=dataset, folder=folder)
    dataset.check_with(step.path for step in steps if step.path)

    # carry them out
    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(lambda step: _carry_out(step, inbox, dataset, folder), steps):
            pass  # a step that failed raises its error here
    _forget(gone, folder=folder)

    added = [step for step in steps if step.path]
    rejected = sum(step.decision.action == "reject" for step in steps)
    new = Counter(step.decision.label for step in added)
    return Applied(
        added=len(added),
        there=len(steps) - len(added) - rejected,
        rejected=rejected,
        gone=len(gone),
        classes=Counter({label: dataset.classes[label] + count for label, count in new.items()}),
    )


def _forget(gone: Sequence[Decision], *, folder: Path) -> None:
    """Delete the photos, on this machine, of what an interrupted `--apply` had done."""
    for decision in gone:
        for file in (folder / PHOTOS).glob(f"{decision.id}.*"):
            file.unlink()


def _steps(
    waiting: Sequence[tuple[Decision, contract.Feedback]], *, inbox: Inbox, dataset: BucketDataset, folder: Path
) -> list[_Step]:
    added = [record for decision, record in waiting if decision.action == "add"]
    names = dict(zip((record["id"] for record in added), inbox.photos(added, folder=folder / PHOTOS), strict=True))
    steps, class_of = [], dict[str, Decision]()
    for decision, record in waiting:
        file = folder / PHOTOS / Path(record["photo"]).name
        path = ""
        if decision.action == "add":
            if not names[record["id"]]:
                raise CliError(
                    f"line {decision.line}: the photo {record['photo']} is gone or not what was sent; write reject. "
                    "Nothing was changed"
                )
            other = class_of.setdefault(record["content"], decision)
            if other.label != decision.label:
                raise CliError(
                    f"line {decision.line}: the photo of line {other.line} is the same, and would be in the classes "
                    f"{printable(other.label)} and {printable(decision.label)}; reject one. Nothing was changed"
                )
            path = _path(decision, record, photo=file.read_bytes(), dataset=dataset)
        steps.append(_Step(decision, record, file, path))
    return steps


def _path(decision: Decision, record: contract.Feedback, *, photo: bytes, dataset: BucketDataset) -> str:
    """Return where a photo goes in the data set; empty where its class has it.

    Raises:
        CliError: it is in another class.
    """
    places = dataset.holding(photo)
    if other := next((place for place in places if place.label != decision.label), None):
        raise CliError(
            f"line {decision.line}: the photo is in the data set already, as {printable(other.path)}: it would be in "
            "two classes. Write reject, and move that file if its class is wrong. Nothing was changed"
        )
    return "" if places else dataset.path_of(record, decision.label)


def _carry_out(step: _Step, inbox: Inbox, dataset: BucketDataset, folder: Path) -> None:
    if step.path:
        # first where the person finds it: once it is in the data set, an interrupted `--apply` does not come here again
        body = step.file.read_bytes()
        copy = folder / ADDED / step.decision.label / Path(step.path).name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(body)
        _put(inbox.s3, bucket=dataset.bucket, key=dataset.prefix + step.path, body=body)
    inbox.remove(step.record)
    step.file.unlink(missing_ok=True)


def _put(s3: Any, *, bucket: str, key: str, body: bytes) -> None:
    """Write a photo, unless one of this name is there: the name says the content."""
    try:
        put_photo(s3, bucket=bucket, key=key, body=body, IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
