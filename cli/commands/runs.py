"""Runs of the state machine: starting, stopping and deciding on them, their reports and logs."""

from __future__ import annotations

from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from cli import CliError
from cli.approve import answer, plan_answer
from cli.commands.shared import Plan, RunOrNewest, confirmation, console, print_error
from cli.joblogs import run_lines
from cli.plans import plan_run, target_if_there
from cli.report import ReportPage, fetch_report, open_report, report_uri
from cli.retry import retry_input
from cli.run import newest_run, start
from cli.stop_run import stop_run
from cli.target import STATE, Target
from cli.watch import Outcome, watch

__all__ = ["approve", "conclude", "logs", "report", "retry", "run", "stop"]


def run(
    context: typer.Context,
    *,
    overrides: Annotated[str, typer.Option("--input", metavar="JSON", help="Override settings for this run.")] = "{}",
    wait: Annotated[bool, typer.Option(help="Show the run's progress until it ends.")] = True,
    plan: Plan = False,
) -> None:
    """Run the state machine: check the photos, tune, train, judge the model, release it.

    For example, to override some settings: `whippet run --input '{"epochs": 10, "trials": 16}'`.
    """
    if plan:
        settings = context.obj.settings()
        there = target_if_there(context.obj.target, console=console)
        plan_run(there, settings, overrides=overrides, console=console)
        return
    _run(context.obj.target(), overrides=overrides, wait=wait)


def retry(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run as `whippet status` lists it, which failed.")],
    *,
    wait: Annotated[bool, typer.Option(help="Show the run's progress until it ends.")] = True,
    plan: Plan = False,
) -> None:
    """Start a run that goes on where an earlier one failed, with its features, its best values and its model.

    It gets that run's input. What the earlier run completed has to fit: its photos and settings must not have changed.
    """
    target = context.obj.target()
    overrides = retry_input(target, run)
    if plan:
        plan_run(target, target.settings, overrides=overrides, console=console)
        return
    _run(target, overrides=overrides, wait=wait)


def _run(target: Target, *, overrides: str, wait: bool) -> None:
    """Start a run and, with `wait`, show its progress until it ends."""
    execution = start(target, overrides=overrides)
    if not wait:
        console.print(execution)
        return

    try:
        outcome = watch(target, execution=execution, console=console)
    except KeyboardInterrupt:
        console.print("the run goes on; `whippet status` shows when it has ended")
        raise typer.Exit(130) from None
    except (BotoCoreError, ClientError):
        console.print(
            f"the run could not be followed, and goes on: {execution}; `whippet status` shows how it ends",
            highlight=False,
            soft_wrap=True,
        )
        raise

    try:
        uri = report_uri(target, run=outcome.run)
    except (BotoCoreError, ClientError) as error:  # the run's end must be told all the same
        print_error("the report could not be looked for:", error)
        uri = None
    if uri:
        console.print(f"report: {uri} (`whippet report {outcome.run}` opens it)", soft_wrap=True)
    conclude(outcome)


def conclude(outcome: Outcome) -> None:
    """Print what a run released.

    Raises:
        CliError: the run failed, its model was rejected, or too few test photos leave it open.
    """
    if not outcome.succeeded:
        ends = {"ModelRejected": "the model was rejected", "TooFewTestPhotos": "the model was not released"}
        what = ends.get(outcome.error, f"the run failed: {outcome.error}")
        raise CliError(f"{what}: {outcome.cause}")

    result = outcome.output
    console.print(
        f"released on {result['endpoint']}: test accuracy {result['test_accuracy']:.4f} "
        f"on {result['test_images']} photos; {result['decision']}",
        soft_wrap=True,
    )


def stop(
    context: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run as `whippet status` lists it; by default the one going on."),
    ] = None,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the message.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Stop it in AWS without asking.")] = False,
) -> None:
    """Stop a run: its jobs end, and a model that it is just putting into service is taken back."""
    target = context.obj.target()

    try:
        stop_run(target, run, reason=reason, confirm=confirmation(target, yes=yes), console=console)
    except KeyboardInterrupt:
        console.print("a run that was stopped is tidied up without this command; a message tells of its end")
        raise typer.Exit(130) from None


def report(
    context: typer.Context,
    run: RunOrNewest = None,
    *,
    page: Annotated[ReportPage, typer.Option(help="The whole report, or only the training's profile.")] = (
        ReportPage.REPORT
    ),
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page, or only print where its file is.")
    ] = True,
) -> None:
    """Download a run's report and open it in the browser."""
    target = context.obj.target()
    file = fetch_report(target, run=run or newest_run(target), page=page, folder=STATE / "reports")
    if show and not open_report(file):
        console.print("no browser was found; open this file with one, here or on another machine:")
    typer.echo(file)


def approve(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run that waits for approval.")],
    *,
    reject: Annotated[str | None, typer.Option(metavar="REASON", help="Reject the model, for this reason.")] = None,
    plan: Plan = False,
) -> None:
    """Approve a run's model for release, or reject it.

    Runs wait for approval if the setting release.approval is manual.
    """
    target = context.obj.target()
    if plan:
        plan_answer(target, run=run, rejection=reject, console=console)
        return
    answer(target, run=run, rejection=reject)
    said = "is approved and will be released" if reject is None else "is rejected; the model in service stays"
    console.print(f"the model of run {run} {said}")


def logs(
    context: typer.Context,
    run: RunOrNewest = None,
) -> None:
    """Print the logs of a run's jobs."""
    target = context.obj.target()
    for name, line in run_lines(target, run=run or newest_run(target)):
        console.print(Text.assemble((name, "dim"), " ", line), soft_wrap=True)
