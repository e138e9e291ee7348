"""The `whippet` command: the same verbs on this machine and in an AWS account."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from cli import deployment
from cli import settings as settings_table
from cli import status as status_verb
from cli.api import Api
from cli.approve import answer
from cli.demo import demo as run_demo
from cli.errors import CliError
from cli.joblogs import run_lines
from cli.photos import find_photos
from cli.report import ReportPage, fetch_report, open_report, report_uri
from cli.run import Outcome, start, watch
from cli.runs import newest_run
from cli.target import STATE, Target, find_target, read_settings
from cli.upload import compare
from cli.upload import upload as upload_photos
from local import control

__all__ = ["main"]

console = Console()
typer_app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Image classification on SageMaker. Without --profile or --region every verb acts on the local cloud.",
)


@dataclass(frozen=True)
class _Where:
    profile: str | None
    region: str | None
    env: str
    overrides: tuple[str, ...]

    def target(self, *, start: bool = False) -> Target:
        return find_target(
            profile=self.profile, region=self.region, env=self.env, overrides=self.overrides, start=start
        )

    @property
    def local(self) -> bool:
        return self.profile is None and self.region is None


@typer_app.callback()
def where(
    context: typer.Context,
    *,
    profile: Annotated[str | None, typer.Option(help="Act in AWS with this profile of your AWS configuration.")] = None,
    region: Annotated[str | None, typer.Option(help="Act in AWS in this region.")] = None,
    env: Annotated[str, typer.Option(help="Environment of cdk.json.")] = "dev",
    c: Annotated[
        list[str] | None, typer.Option("-c", metavar="NAME=VALUE", help="Override a setting, as with cdk -c.")
    ] = None,
) -> None:
    """Read what every verb shares."""
    context.obj = _Where(profile, region, env, tuple(c or ()))


@typer_app.command()
def up(context: typer.Context) -> None:
    """Start the local cloud and deploy the stack (with --profile/--region: deploy to AWS)."""
    target = context.obj.target(start=True)
    deployment.deploy(target)
    status_verb.show(target, console=console)


@typer_app.command()
def upload(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Holds a folder of photos for each class, or train/, valid/, test/.")],
    *,
    add: Annotated[bool, typer.Option("--add", help="Keep the photos in the bucket that FOLDER lacks.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before photos are removed in AWS.")] = False,
) -> None:
    """Make the data set in the bucket hold what FOLDER holds (the bucket keeps removed photos' versions)."""
    photos = find_photos(folder)
    target = context.obj.target()
    s3, (bucket, prefix) = target.client("s3"), target.dataset
    changes = compare(s3, photos=photos, bucket=bucket, prefix=prefix, add=add)
    if changes.surplus and target.cloud is None and not yes:
        typer.confirm(
            f"{len(changes.surplus)} objects in s3://{bucket}/{prefix} are not in {folder}: remove them?", abort=True
        )
    upload_photos(s3, photos=photos, changes=changes, bucket=bucket, prefix=prefix, console=console)
    console.print(
        f"s3://{bucket}/{prefix} holds {len(photos.paths):,} photos of {len(photos.classes)} classes: "
        f"{len(changes.missing):,} uploaded, {changes.unchanged:,} unchanged, {len(changes.surplus):,} removed"
        + (
            f"; {photos.passed_over:,} files that are no photos in a class folder passed over"
            if photos.passed_over
            else ""
        ),
        highlight=False,
    )


@typer_app.command()
def run(
    context: typer.Context,
    *,
    overrides: Annotated[str, typer.Option("--input", help="The execution's input, JSON.")] = "{}",
    wait: Annotated[bool, typer.Option(help="Follow the run to its end.")] = True,
) -> None:
    """Start the state machine: check the photos, tune, train, decide, release."""
    target = context.obj.target()
    execution = start(target, overrides=overrides)
    if not wait:
        console.print(execution, highlight=False)
        return
    try:
        outcome = watch(target, execution=execution, console=console)
    except KeyboardInterrupt:
        console.print("the run goes on; look again with `whippet status`")
        raise typer.Exit(130) from None
    try:
        uri = report_uri(target, run=outcome.run)
    except (BotoCoreError, ClientError) as error:  # how the run ended is worth more
        _complain("the report could not be looked for:", error)
        uri = None
    if uri:
        console.print(
            f"report: {uri} (`whippet report {outcome.run}` opens it)", highlight=False, markup=False, soft_wrap=True
        )
    conclude(outcome)


def conclude(outcome: Outcome) -> None:
    """Say how a run ended.

    Raises:
        CliError: it failed, or its model was rejected.
    """
    if not outcome.succeeded:
        happened = "the model was rejected" if outcome.error == "ModelRejected" else f"the run failed: {outcome.error}"
        raise CliError(f"{happened}: {outcome.cause}")
    result = outcome.output
    console.print(
        f"released on {result['endpoint']}: test accuracy {result['test_accuracy']:.4f} "
        f"on {result['test_images']} photos; {result['decision']}",
        highlight=False,
        soft_wrap=True,
    )


@typer_app.command()
def report(
    context: typer.Context,
    run: Annotated[
        str | None, typer.Argument(help="A run as `whippet status` lists it; the newest one if none is given.")
    ] = None,
    *,
    page: Annotated[ReportPage, typer.Option(help="The whole report, or the training's profile alone.")] = (
        ReportPage.REPORT
    ),
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> None:
    """Fetch a run's report and open it in the browser."""
    target = context.obj.target()
    file = fetch_report(target, run=run or newest_run(target), page=page, folder=STATE / "reports")
    if show and not open_report(file):
        console.print("there is no browser here; the page is one file, to be opened anywhere:")
    typer.echo(file)


@typer_app.command()
def approve(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="A run that waits for an answer.")],
    *,
    reject: Annotated[
        str | None, typer.Option(metavar="REASON", help="Keep the model out of service, and say why.")
    ] = None,
) -> None:
    """Let a run's model go into service (setting release.approval=manual), or keep it out."""
    answer(context.obj.target(), run=run, rejection=reject)
    verdict = "goes into service" if reject is None else "was rejected; the one in service stays"
    console.print(f"the model of run {run} {verdict}", highlight=False, markup=False)


@typer_app.command()
def status(context: typer.Context) -> None:
    """Show what is deployed, the model in service and the last runs."""
    status_verb.show(context.obj.target(), console=console)


@typer_app.command()
def classify(
    context: typer.Context,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO…")],
    *,
    top: Annotated[int, typer.Option(min=1, help="Labels shown for each photo.")] = 3,
) -> None:
    """POST photos to the API and show what they are."""
    api = Api.of(context.obj.target())
    table = Table(Column("photo", overflow="fold"), "label", "score", box=None, padding=(0, 2, 0, 0))
    failures = []
    for photo in photos:
        try:
            predictions = api.classify(photo)[:top]
        except CliError as error:
            failures.append(str(error))
            continue
        for index, prediction in enumerate(predictions):
            table.add_row("" if index else str(photo), prediction["label"], f"{prediction['score']:.3f}")
    if table.rows:
        console.print(table, highlight=False)
    if failures:
        raise CliError("\n".join(failures))


@typer_app.command()
def logs(
    context: typer.Context,
    run: Annotated[
        str | None, typer.Argument(help="A run as `whippet status` lists it; the newest one if none is given.")
    ] = None,
) -> None:
    """Print the logs of a run's jobs."""
    target = context.obj.target()
    for name, line in run_lines(target, run=run or newest_run(target)):
        console.print(f"[dim]{name}[/] {line}", highlight=False, soft_wrap=True)


@typer_app.command()
def down(context: typer.Context) -> None:
    """Destroy the stack, with all that the runs made; on this machine end the local cloud too."""
    target = context.obj.target()
    deployment.destroy(target)
    console.print(f"{target.settings.stack_name} is destroyed {target.place}", highlight=False)
    if target.cloud is not None:
        control.stop(STATE)
        console.print("the local cloud has ended")


@typer_app.command()
def settings(
    context: typer.Context,
    *,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="As a Markdown table.")] = False,
) -> None:
    """Show every setting: its value in the environment, what is allowed, what it means."""
    values = read_settings(context.obj.env, context.obj.overrides)
    if as_markdown:
        typer.echo(settings_table.markdown(values))
        return
    table = Table("setting", "value", "allowed", "meaning", box=None, padding=(0, 2, 0, 0))
    for row in settings_table.rows(values):
        table.add_row(*map(escape, row))
    console.print(table, highlight=False)


@typer_app.command()
def stop(context: typer.Context) -> None:
    """End the local cloud and everything that runs in it."""
    if not context.obj.local:
        raise CliError(
            "`whippet stop` ends the local cloud; it has nothing to stop in AWS (`whippet down` destroys the stack)"
        )
    console.print("the local cloud has ended" if control.stop(STATE) else "the local cloud does not run")


@typer_app.command()
def demo(context: typer.Context) -> None:
    """The whole system on this machine, with 5,000 handwritten digits."""
    if not context.obj.local:
        raise CliError("`whippet demo` runs on this machine only: take --profile and --region away")
    run_demo(console)


def _complain(what: str, error: Exception) -> None:
    # Text, not markup: an error may quote square brackets.
    Console(stderr=True).print(Text.assemble((what, "red"), " ", str(error)), highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command; an error a user can mend is printed without a traceback."""
    try:
        typer_app()
    except (CliError, control.CloudError) as error:
        _complain("error:", error)
        sys.exit(1)
    except (BotoCoreError, ClientError) as error:
        _complain("AWS answered:", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
