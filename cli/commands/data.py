"""The data set: looking for bad photos, uploading, and adding what callers of the API sent back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import CliError
from cli.check import check_folder, photos_of, printable
from cli.check_list import read_list
from cli.check_moves import Move, apply, undo
from cli.commands.shared import Plan, confirmation, console, say
from cli.data_set import make_equal
from cli.feedback.command import apply_list, review_inbox
from cli.photos import find_photos
from cli.ready import put_ready, ready_object
from cli.target import STATE
from contract import counted

__all__ = ["check", "feedback", "upload"]


def check(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Folder of photos as `whippet upload` takes it."),
    ],
    *,
    list_file: Annotated[
        Path | None,
        typer.Option("--apply", metavar="CSV", help="Move the photos as the column action of this check.csv says."),
    ] = None,
    undo_last: Annotated[bool, typer.Option("--undo", help="Move back what the last --apply moved.")] = False,
) -> None:
    """Look for bad photos on this machine: wrong labels, copies, damaged, blurred, dark, tiny and odd ones.

    It writes a page to look at and a list, check.csv. Write aside or relabel into the list's column action, and apply
    it: photos are moved into a folder beside FOLDER, or into another class. Nothing is ever deleted.
    """
    if list_file is not None and undo_last:
        raise CliError("--apply and --undo were both given: give one of them")
    if undo_last:
        done, left = undo(folder)
        _print_moves(done, verb="moved back")
        if left:
            names = ", ".join(printable(move.source) for move in left)
            raise CliError(f"not moved back, being gone or replaced: {counted(len(left), 'photo')}: {names}")
    elif list_file is not None:
        decisions = read_list(list_file)
        if not decisions:
            raise CliError(f"no row of {list_file} has an action: write aside or relabel into the column action")
        _print_moves(apply(photos_of(folder), decisions), verb="moved")
        say(f"to move them back: whippet check {folder} --undo")
    else:
        check_folder(folder, state=STATE, console=console)


def _print_moves(moves: list[Move], *, verb: str) -> None:
    for move in moves:
        say(f"{move.source} -> {move.target}")
    say(f"{verb}: {counted(len(moves), 'photo')}")


def upload(
    context: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Folder with a subfolder for each class, or with train/, valid/ and test/."
        ),
    ],
    *,
    add: Annotated[bool, typer.Option("--add", help="Keep photos in the bucket that are not in FOLDER.")] = False,
    groups: Annotated[
        bool, typer.Option(help="Find photos that were taken in one burst, which then stay in one split.")
    ] = True,
    ready: Annotated[
        bool,
        typer.Option("--ready", help="Upload the object READY at the end, which starts a run (triggers.ready_object)."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove photos in AWS without asking.")] = False,
    plan: Plan = False,
) -> None:
    """Make the data set in the bucket the same as FOLDER.

    New and changed photos are uploaded, and photos that are not in FOLDER are removed. The bucket keeps earlier
    versions of its objects, so that they can be restored.
    """
    photos = find_photos(folder)
    target = context.obj.target()
    ask = confirmation(target, yes=yes)

    def confirm(surplus: int, where: str) -> None:
        ask(f"{surplus:,} objects in {where} are not in {folder}. Remove them?")

    # refused before anything is uploaded
    place = ready_object(target) if ready else None
    make_equal(target, photos, add=add, groups=groups, confirm=confirm, console=console, plan=plan)
    if place is not None and not plan:
        put_ready(target, place)
        say(f"{place} was uploaded: a run begins in a moment, as `whippet status` shows")


def feedback(
    context: typer.Context,
    *,
    list_file: Annotated[
        Path | None,
        typer.Option("--apply", metavar="CSV", help="Add and reject the photos as this feedback.csv says."),
    ] = None,
) -> None:
    """Review photos that were sent with another label than the model's, and add them to the data set.

    It writes a page to look at and a list, feedback.csv. Write add or reject into the list's column action, and apply
    it: what you add is copied into its class in the data set, and leaves the feedback as what you reject does.
    """
    target = context.obj.target()
    if list_file is None:
        review_inbox(target, parent=STATE / "feedback", console=console, say=say)
    else:
        apply_list(target, list_file, say=say)
