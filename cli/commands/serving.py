"""The model in service: its history, putting an earlier one back, asking it, taking it along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.classify import check_options, classify_folder, classify_photos, is_folder
from cli.commands.shared import Json, Plan, confirmation, console, say
from cli.drift import check_now, fetch_page, lines_about, read_check
from cli.export import write_export
from cli.model_in_service import find_model_in_service
from cli.release_table import as_json, show_releases
from cli.releases import find_releases
from cli.report import open_report
from cli.rollback import plan_rollback, rollback
from cli.target import STATE
from cli.wake import plan_wake, wake
from contract import MAX_COVERAGE, MIN_COVERAGE

__all__ = ["classify", "export", "history", "roll_back", "show_drift", "wake_endpoint"]


def history(
    context: typer.Context,
    *,
    last: Annotated[int, typer.Option(min=1, help="How many changes of the model in service are shown.")] = 20,
    machine_readable: Json = False,
) -> None:
    """Show which model served when, how good it was, why it came, what replaced it, and what can be put back."""
    releases = find_releases(context.obj.target())
    if machine_readable:
        typer.echo(as_json(releases, last=last))
    else:
        show_releases(releases, last=last, console=console)


def show_drift(
    context: typer.Context,
    *,
    check: Annotated[bool, typer.Option("--check", help="Make a check now, beside those of the schedule.")] = False,
    machine_readable: Json = False,
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page, or only print where its file is.")
    ] = True,
) -> None:
    """Show what the newest check of captured answers found: has what people send changed since the test?

    Checks come every monitoring.drift_hours where monitoring.capture_percent is more than 0.
    """
    target = context.obj.target()
    if check:
        check_now(target)
    if machine_readable:
        typer.echo(json.dumps(read_check(target), indent=2))
        return
    for line in lines_about(read_check(target)):
        say(line)
    file = fetch_page(target, folder=STATE / "reports")
    if show and not open_report(file):
        console.print("no browser was found; open this file with one, here or on another machine:")
    typer.echo(file)


def roll_back(
    context: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="A run as `whippet history` lists it; by default the release before the one in service."
        ),
    ] = None,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history and the model registry.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Roll back in AWS without asking.")] = False,
    plan: Plan = False,
) -> None:
    """Put the model of an earlier release back into service, and wait until it answers.

    The model that it replaces is marked as rejected in the model registry. The same command again goes on where an
    interrupted one ended.
    """
    target = context.obj.target()

    if plan:
        plan_rollback(target, run, console=console)
        return
    try:
        rollback(target, run, reason=reason, confirm=confirmation(target, yes=yes), console=console)
    except KeyboardInterrupt:
        console.print("the endpoint may still be changing; the same command again goes on")
        raise typer.Exit(130) from None


def wake_endpoint(
    context: typer.Context,
    *,
    wait: Annotated[bool, typer.Option(help="Wait until the model answers.")] = True,
    plan: Plan = False,
) -> None:
    """Start the endpoint again that was deleted because nobody asked (setting serving.pause_after_hours).

    A photo that is sent to the API does so, too.
    """
    if plan:
        plan_wake(context.obj.target(), console=console)
        return
    try:
        wake(context.obj.target(), wait=wait, console=console)
    except KeyboardInterrupt:
        console.print("the endpoint starts on; `whippet status` shows when it serves")
        raise typer.Exit(130) from None


def classify(
    context: typer.Context,
    photos: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO…", help="Photos, such as JPEG or PNG files; or one folder of photos or s3://bucket/prefix/."
        ),
    ],
    *,
    top: Annotated[int, typer.Option(min=1, help="Number of labels shown for each photo.")] = 3,
    coverage: Annotated[
        float | None,
        typer.Option(
            min=MIN_COVERAGE,
            max=MAX_COVERAGE,
            help="Show the smallest set of labels that holds the right one with this probability, such as 0.95, "
            "instead of a number of labels.",
        ),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the photo with a heat map of what spoke for its label and what against it, to FILE.svg or "
            "FILE.html; for one photo.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="NAME", help="Of a folder or prefix: write NAME.csv and NAME.jsonl; by default answers-<its name>."
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Of a folder or prefix in AWS: begin without asking after the price.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Of a folder or prefix: say what it would do and cost, and do nothing.")
    ] = False,
) -> None:
    """Classify photos with the deployed API, and say which are unlike everything that the model was trained on.

    The photos of a folder, or of a prefix in S3, are classified by a batch transform job with the model in service. The
    price is told before. The same command again goes on where an interrupted one ended.
    """
    check_options(photos, explain=explain, output=output, yes=yes, plan=plan)
    target = context.obj.target()
    if is_folder(photos[0]):
        classify_folder(
            target, photos[0], top=top, coverage=coverage, output=output, yes=yes, plan=plan, console=console
        )
    else:
        classify_photos(
            target, [Path(photo) for photo in photos], top=top, coverage=coverage, explain=explain, console=console
        )


def export(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
) -> None:
    """Write the model in service to a folder: the ONNX file, its card, and readers in Python and for the browser.

    The folder needs neither AWS nor this project: `python FOLDER/classify.py photo.jpg`.
    """
    target = context.obj.target()
    model = find_model_in_service(target)
    files = model.files(target)
    write_export(folder, files, model.card(files))
    console.print(f"the model {model.name} is in {folder}; its README.md says how to use it", soft_wrap=True)
