"""The command `whippet feedback`: what it prints, and in which order it does things."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cli import CliError
from cli.feedback.apply import ADDED, apply_decisions
from cli.feedback.dataset import BucketDataset
from cli.feedback.decisions import read_decisions
from cli.feedback.inbox import Inbox
from cli.feedback.review import MOST_REVIEWED, review
from contract import counted
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["apply_list", "review_inbox"]

Say = Callable[[str], None]
"""Prints a line as it is."""


def review_inbox(target: Target, *, parent: Path, console: Console, say: Say) -> None:
    """Write the page and the list of what waits, and say how to go on.

    Raises:
        CliError: the stack is not deployed, the data set cannot be understood, or the thumbnails cannot be made.
    """
    inbox = _inbox(target)
    ids = inbox.waiting()
    if not ids:
        api = target.settings.api
        closed = "" if api.feedback else "; api.feedback is false, so that none is taken: see docs/feedback.md"
        say(f"no feedback waits {target.place}{closed}")
        return
    folder = review(inbox, ids, dataset=_dataset(target), parent=parent, console=console)
    say(f"feedback that waits: {counted(len(ids), 'photo')}")
    if len(ids) > MOST_REVIEWED:
        say(f"the oldest {MOST_REVIEWED:,} are shown; decide on them, then look at the next")
    say(f"look at it: {folder / 'feedback.html'}")
    say(
        f"act on it: in {folder / 'feedback.csv'}, write add or reject into the column action and correct the labels, "
        f"then: whippet feedback --apply {folder / 'feedback.csv'}"
    )


def apply_list(target: Target, list_file: Path, *, say: Say) -> None:
    """Add and reject what the list says, and say what became of it.

    Raises:
        CliError: the list is none, decides nothing, or asks for what cannot be done; nothing was changed then.
    """
    decisions = read_decisions(list_file)
    if not decisions:
        raise CliError(f"no row of {list_file} has an action: write add or reject into the column action")
    folder = list_file.resolve().parent
    bucket, prefix = target.dataset
    done = apply_decisions(decisions, inbox=_inbox(target), dataset=_dataset(target), folder=folder)

    there = f", {done.there:,} in the data set already" if done.there else ""
    gone = f", {done.gone:,} no longer waiting" if done.gone else ""
    say(f"added to s3://{bucket}/{prefix}: {counted(done.added, 'photo')}; {done.rejected:,} rejected{there}{gone}")
    least = target.settings.dataset.min_images_per_class
    for label, photos in sorted(done.classes.items()):
        if photos < least:
            say(f"the class {label} has {counted(photos, 'photo')}; a run needs {least} (dataset.min_images_per_class)")
    if done.added:
        say(
            f"they lie in {folder / ADDED}, too: copy them into your own folder of photos, or its next "
            "`whippet upload` without --add removes them from the bucket"
        )


def _inbox(target: Target) -> Inbox:
    return Inbox(target.client("s3"), target.output(StackOutput.DATA_BUCKET))


def _dataset(target: Target) -> BucketDataset:
    bucket, prefix = target.dataset
    return BucketDataset.read(target.client("s3"), bucket=bucket, prefix=prefix)
