"""`whippet classify`: photos one by one through the API, or a folder or prefix of them in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli import CliError
from cli.answers import ALL_CLASSES, add_answer, answers_table
from cli.api import Api
from cli.batch.classify import classify_batch
from cli.heat_map import check_name, write_heat_map

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["check_options", "classify_folder", "classify_photos", "is_folder"]


def is_folder(photo: str) -> bool:
    """Return whether what is to be classified is a folder of photos, here or in S3."""
    return photo.startswith("s3://") or Path(photo).is_dir()


def check_options(photos: Sequence[str], *, explain: Path | None, output: Path | None, yes: bool, plan: bool) -> None:
    """Check that the options fit what is to be classified: photos, or one folder.

    Raises:
        CliError: they do not; the message says which to leave out.
    """
    if any(map(is_folder, photos)):
        if len(photos) > 1 or explain is not None:
            raise CliError("give one folder or one prefix in S3 alone, without other photos and without --explain")
        return
    if output is not None or yes or plan:
        raise CliError(
            "--output, --yes and --plan are for a folder or a prefix in S3: leave them out for single photos, each of "
            "which is one request"
        )
    if explain is not None:
        check_name(explain)
        if len(photos) > 1:
            raise CliError("--explain writes the heat map of one photo: give one, or leave --explain out")


def classify_folder(
    target: Target,
    source: str,
    *,
    top: int,
    coverage: float | None,
    output: Path | None,
    yes: bool,
    plan: bool,
    console: Console,
) -> None:
    """Classify the photos of a folder or of an S3 prefix by a batch transform job; the arguments are the options'.

    Raises:
        CliError: see `classify_batch`.
    """
    # a set of labels may have any of the classes
    parameters = f"top_k={top}" if coverage is None else f"coverage={coverage:g};top_k={ALL_CLASSES}"
    try:
        classify_batch(target, source, parameters=parameters, output=output, yes=yes, plan=plan, console=console)
    except KeyboardInterrupt:
        console.print("a job that was started goes on; the same command follows it")
        raise typer.Exit(130) from None


def classify_photos(
    target: Target,
    photos: Sequence[Path],
    *,
    top: int,
    coverage: float | None,
    explain: Path | None,
    console: Console,
) -> None:
    """Classify photos by the API, one after the other, and print their answers; the arguments are the options'.

    Raises:
        CliError: a photo has no answer; the answers of the others are printed.
    """
    api = Api.of(target)
    table = answers_table()
    failures = []
    for photo in photos:
        try:
            answered = api.classify(
                photo, top=ALL_CLASSES if coverage else top, coverage=coverage, explain=explain is not None
            )
        except CliError as error:
            failures.append(str(error))
            continue
        add_answer(table, photo, answered)
        if explain is not None:
            write_heat_map(explain, photo=photo, heat_map=answered["heat_map"])

    if table.rows:
        console.print(table)
    if failures:
        raise CliError("\n".join(failures))
