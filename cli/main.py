"""The `whippet` command line: the same commands for the local cloud and for an AWS account."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError
from rich.table import Table
from rich.text import Text

from cli import CliError, deployment
from cli import quotas as quotas_table
from cli import settings as settings_table
from cli import status as status_table
from cli.approve import answer
from cli.check import check_folder, photos_of, printable
from cli.check_list import read_list
from cli.check_moves import Move, apply, undo
from cli.classify import check_options, classify_folder, classify_photos, is_folder
from cli.cost import overridden, planned_run, show_plan, show_run
from cli.data_set import make_equal
from cli.demo import demo as run_demo
from cli.endpoint import refuse_to_forget
from cli.export import write_export
from cli.feedback.command import apply_list, review_inbox
from cli.joblogs import run_lines
from cli.leftovers.command import as_json as leftovers_as_json
from cli.leftovers.command import find_leftovers, remove_leftovers, show_leftovers
from cli.model_in_service import find_model_in_service
from cli.photos import find_photos
from cli.plans import count_photos, plan_demo, plan_deployment, plan_run, target_if_there
from cli.release_table import as_json, show_releases
from cli.releases import find_releases
from cli.report import ReportPage, fetch_report, open_report, report_uri
from cli.retry import retry_input
from cli.rollback import plan_rollback
from cli.rollback import rollback as roll_back
from cli.run import newest_run, start
from cli.stop_run import stop_run as end_run
from cli.target import STATE, Target, find_target, is_on_this_machine, read_settings
from cli.terminal import new_console
from cli.wake import plan_wake
from cli.wake import wake as wake_model
from cli.watch import Outcome, watch
from contract import MAX_COVERAGE, MIN_COVERAGE
from local import control

__all__ = ["main"]

console = new_console()
typer_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help=(
        "Image classification on Amazon SageMaker, from a folder of photos to an HTTPS API.\n\n"
        "Commands act on the local cloud, which runs on this machine; with --profile or --region they act in AWS."
    ),
)

_NO_ANSWER = (BotoConnectionError, HTTPClientError)
"""What botocore raises when a request gets no answer, or only a part of one."""

_Plan = Annotated[bool, typer.Option("--plan", help="Say what it would do and cost, and do nothing.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_RunOrNewest = Annotated[
    str | None, typer.Argument(metavar="RUN", help="A run as `whippet status` lists it; by default the newest one.")
]


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
    profile: Annotated[
        str | None, typer.Option(help="Act in AWS, with this profile of your AWS configuration.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Act in AWS, in this region.")] = None,
    env: Annotated[str, typer.Option(help="Environment of cdk.json whose settings apply.")] = "dev",
    c: Annotated[
        list[str] | None,
        typer.Option("-c", metavar="NAME=VALUE", help="Override a setting, as `cdk -c` does; repeatable."),
    ] = None,
) -> None:
    """Read the options that every command shares."""
    context.obj = _Where(profile, region, env, tuple(c or ()))


@typer_app.command()
def quotas(context: typer.Context) -> None:
    """Compare the account's quotas with what the environment needs, before its first deployment.

    The command ends with status 1 if one is too small, and prints the commands that ask for more.
    """
    quotas_table.check(context.obj.target(), console=console)


@typer_app.command()
def cost(
    context: typer.Context,
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run as `whippet status` lists it; by default the next one.")
    ] = None,
    *,
    photos: Annotated[
        int | None, typer.Option(min=1, help="Of the data set; by default those in the bucket are counted.")
    ] = None,
    overrides: Annotated[str, typer.Option("--input", metavar="JSON", help="The next run's overrides.")] = "{}",
    machine_readable: _Json = False,
) -> None:
    """Show what the next run will cost, at most and about, and what stands costs a month; or what a run did cost."""
    if run is not None:
        show_run(context.obj.target(), run, machine_readable=machine_readable, console=console)
        return
    aside = new_console(stderr=True)
    settings = overridden(read_settings(context.obj.env, context.obj.overrides), overrides)
    target = target_if_there(context.obj.target, console=aside)
    counted = photos or (None if target is None else count_photos(target))
    planned = planned_run(settings, photos=counted or None)
    show_plan(target, planned, machine_readable=machine_readable, console=console)


@typer_app.command()
def up(context: typer.Context, *, plan: _Plan = False) -> None:
    """Deploy the stack, and show its addresses.

    On this machine, the local cloud is started first if it is not running.
    """
    if plan:
        settings = read_settings(context.obj.env, context.obj.overrides)
        plan_deployment(settings, local=context.obj.local, console=console)
        return
    target = context.obj.target(start=True)
    refuse_to_forget(target)
    deployment.deploy(target)
    status_table.show(target, console=console)


@typer_app.command()
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
            raise CliError(f"{len(left):,} photos could not be moved back, as they are gone or replaced: {names}")
    elif list_file is not None:
        decisions = read_list(list_file)
        if not decisions:
            raise CliError(f"no row of {list_file} has an action: write aside or relabel into the column action")
        _print_moves(apply(photos_of(folder), decisions), verb="moved")
        _say(f"to move them back: whippet check {folder} --undo")
    else:
        check_folder(folder, state=STATE, console=console)


def _print_moves(moves: list[Move], *, verb: str) -> None:
    for move in moves:
        _say(f"{move.source} -> {move.target}")
    _say(f"{verb}: {len(moves):,} photo{'' if len(moves) == 1 else 's'}")


def _say(text: str) -> None:
    # As text and not as markup, since names of files may contain square brackets.
    console.print(Text(printable(text)), highlight=False, soft_wrap=True)


@typer_app.command()
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
    yes: Annotated[bool, typer.Option("--yes", help="Remove photos in AWS without asking.")] = False,
    plan: _Plan = False,
) -> None:
    """Make the data set in the bucket the same as FOLDER.

    New and changed photos are uploaded, and photos that are not in FOLDER are removed. The bucket keeps earlier
    versions of its objects, so that they can be restored.
    """
    photos = find_photos(folder)
    target = context.obj.target()

    def confirm(surplus: int, where: str) -> None:
        if target.cloud is None and not yes:
            typer.confirm(f"{surplus:,} objects in {where} are not in {folder}. Remove them?", abort=True)

    make_equal(target, photos, add=add, groups=groups, confirm=confirm, console=console, plan=plan)


@typer_app.command()
def run(
    context: typer.Context,
    *,
    overrides: Annotated[str, typer.Option("--input", metavar="JSON", help="Override settings for this run.")] = "{}",
    wait: Annotated[bool, typer.Option(help="Show the run's progress until it ends.")] = True,
    plan: _Plan = False,
) -> None:
    """Run the state machine: check the photos, tune, train, judge the model, release it.

    For example, to override some settings: `whippet run --input '{"epochs": 10, "trials": 16}'`.
    """
    if plan:
        settings = read_settings(context.obj.env, context.obj.overrides)
        there = target_if_there(context.obj.target, console=console)
        plan_run(there, settings, overrides=overrides, console=console)
        return
    _run(context.obj.target(), overrides=overrides, wait=wait)


@typer_app.command()
def retry(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run as `whippet status` lists it, which failed.")],
    *,
    wait: Annotated[bool, typer.Option(help="Show the run's progress until it ends.")] = True,
    plan: _Plan = False,
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

    try:
        uri = report_uri(target, run=outcome.run)
    except (BotoCoreError, ClientError) as error:  # the run's end must be told all the same
        _print_error("the report could not be looked for:", error)
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


@typer_app.command()
def report(
    context: typer.Context,
    run: _RunOrNewest = None,
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


@typer_app.command()
def approve(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run that waits for approval.")],
    *,
    reject: Annotated[str | None, typer.Option(metavar="REASON", help="Reject the model, for this reason.")] = None,
) -> None:
    """Approve a run's model for release, or reject it.

    Runs wait for approval if the setting release.approval is manual.
    """
    answer(context.obj.target(), run=run, rejection=reject)
    said = "is approved and will be released" if reject is None else "is rejected; the model in service stays"
    console.print(f"the model of run {run} {said}")


@typer_app.command()
def status(context: typer.Context) -> None:
    """Show the deployed stack, the model in service and the newest runs."""
    status_table.show(context.obj.target(), console=console)


@typer_app.command()
def history(
    context: typer.Context,
    *,
    last: Annotated[int, typer.Option(min=1, help="How many changes of the model in service are shown.")] = 20,
    machine_readable: _Json = False,
) -> None:
    """Show which model served when, how good it was, why it came, what replaced it, and what can be put back."""
    releases = find_releases(context.obj.target())
    if machine_readable:
        typer.echo(as_json(releases, last=last))
    else:
        show_releases(releases, last=last, console=console)


@typer_app.command()
def stop_run(
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

    def confirm(question: str) -> None:
        if target.cloud is None and not yes:
            typer.confirm(question, abort=True)

    try:
        end_run(target, run, reason=reason, confirm=confirm, console=console)
    except KeyboardInterrupt:
        console.print("a run that was stopped is tidied up without this command; a message tells of its end")
        raise typer.Exit(130) from None


@typer_app.command()
def rollback(
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
    plan: _Plan = False,
) -> None:
    """Put the model of an earlier release back into service, and wait until it answers.

    The model that it replaces is marked as rejected in the model registry. The same command again goes on where an
    interrupted one ended.
    """
    target = context.obj.target()

    def confirm(question: str) -> None:
        if target.cloud is None and not yes:
            typer.confirm(question, abort=True)

    if plan:
        plan_rollback(target, run, console=console)
        return
    try:
        roll_back(target, run, reason=reason, confirm=confirm, console=console)
    except KeyboardInterrupt:
        console.print("the endpoint may still be changing; the same command again goes on")
        raise typer.Exit(130) from None


@typer_app.command()
def wake(
    context: typer.Context,
    *,
    wait: Annotated[bool, typer.Option(help="Wait until the model answers.")] = True,
    plan: _Plan = False,
) -> None:
    """Start the endpoint again that was deleted because nobody asked (setting serving.pause_after_hours).

    A photo that is sent to the API does so, too.
    """
    if plan:
        plan_wake(context.obj.target(), console=console)
        return
    try:
        wake_model(context.obj.target(), wait=wait, console=console)
    except KeyboardInterrupt:
        console.print("the endpoint starts on; `whippet status` shows when it serves")
        raise typer.Exit(130) from None


@typer_app.command()
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


@typer_app.command()
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
        review_inbox(target, parent=STATE / "feedback", console=console, say=_say)
    else:
        apply_list(target, list_file, say=_say)


@typer_app.command()
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


@typer_app.command()
def key(context: typer.Context) -> None:
    """Print the API's key, for a command such as `curl -H "x-api-key: $(whippet key)" …`."""
    typer.echo(context.obj.target().api_key)


@typer_app.command()
def logs(
    context: typer.Context,
    run: _RunOrNewest = None,
) -> None:
    """Print the logs of a run's jobs."""
    target = context.obj.target()
    for name, line in run_lines(target, run=run or newest_run(target)):
        console.print(Text.assemble((name, "dim"), " ", line), soft_wrap=True)


@typer_app.command()
def down(context: typer.Context) -> None:
    """Destroy the stack and what its runs created.

    On this machine, the local cloud is stopped, too, unless another environment stands in it. In AWS, the bucket
    with the photos stays unless the setting dataset.keep_at_destroy is false.
    """
    target = context.obj.target()
    deployment.destroy(target)
    console.print(f"the stack {target.settings.stack_name} {target.place} was destroyed")
    if target.cloud is None:
        return
    others = deployment.other_stacks(target)
    if others:
        console.print(f"the local cloud goes on, for {', '.join(others)}; stop it with `whippet stop`")
        return
    control.stop(STATE)
    console.print("the local cloud was stopped")


@typer_app.command()
def leftovers(
    context: typer.Context,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what need not stay.")] = False,
    data: Annotated[
        bool, typer.Option("--data", help="With --remove: also the buckets with the photos, models and results.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove in AWS without asking.")] = False,
    machine_readable: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what is left of an environment whose stack was destroyed, what it costs, and remove it.

    AWS keeps some things beyond the stack, such as the records of jobs and their logs; others stay where a person made
    CloudFormation let them go.
    """
    if data and not remove:
        raise CliError("--data is for --remove: give both to remove the photos, the models and the results, too")
    target = context.obj.target()
    found = find_leftovers(target)

    def confirm(question: str) -> None:
        if target.cloud is None and not yes:
            typer.confirm(question, abort=True)

    if remove:
        remove_leftovers(target, found, data=data, confirm=confirm, console=console)
    elif machine_readable:
        typer.echo(leftovers_as_json(found))
    else:
        show_leftovers(target, found, console=console)


@typer_app.command()
def settings(
    context: typer.Context,
    *,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """Show every setting: its value in the environment, the values allowed, and its meaning."""
    values = read_settings(context.obj.env, context.obj.overrides)
    if as_markdown:
        typer.echo(settings_table.markdown(values))
        return
    table = Table("setting", "value", "allowed", "meaning", box=None, padding=(0, 2, 0, 0))
    for row in settings_table.rows(values):
        table.add_row(*row)
    console.print(table)


@typer_app.command()
def env(context: typer.Context) -> None:
    """Print the environment with which AWS clients reach the local cloud.

    Set it in a shell with `eval "$(whippet env)"`; then `aws sagemaker list-training-jobs` lists the jobs on this
    machine. The access key changes at each start of the local cloud.
    """
    target = context.obj.target()
    if target.cloud is None:
        raise CliError("`whippet env` is for the local cloud; in AWS, your own profile or keys are used")
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ):
        typer.echo(f"export {name}={shlex.quote(target.environment[name])}")


@typer_app.command()
def stop(context: typer.Context) -> None:
    """Stop the local cloud and everything that runs in it."""
    if not context.obj.local:
        raise CliError(
            "`whippet stop` stops the local cloud and does nothing in AWS: leave --profile and --region out, or "
            "destroy the stack in AWS with `whippet down`"
        )
    console.print("the local cloud was stopped" if control.stop(STATE) else "the local cloud was not running")


@typer_app.command()
def demo(context: typer.Context, *, plan: _Plan = False) -> None:
    """Deploy, train and classify on this machine, with 4,000 handwritten digits."""
    if not context.obj.local:
        raise CliError("`whippet demo` runs on this machine only: leave --profile and --region out")
    if plan:
        plan_demo(console)
        return
    run_demo(console, env=context.obj.env, overrides=context.obj.overrides)


def _print_error(what: str, error: Exception | str) -> None:
    new_console(stderr=True).print(Text.assemble((what, "red"), " ", str(error)), soft_wrap=True)


def main() -> None:
    """Run the command; print errors that the user can fix without a traceback, and exit with status 1."""
    try:
        typer_app()
    except (CliError, control.CloudError) as error:
        _print_error("error:", error)
        sys.exit(1)
    except (BotoCoreError, ClientError) as error:
        if isinstance(error, _NO_ANSWER) and (reason := _silence(error)):
            _print_error("error:", reason)
        else:
            _print_error("AWS answered:", error)
        sys.exit(1)


def _silence(error: BotoCoreError) -> str | None:
    """Return what to tell about a request without an answer if it went to a local cloud that is gone."""
    url = error.kwargs.get("endpoint_url", "")
    return control.silence(STATE) if is_on_this_machine(url) or (not url and control.died(STATE)) else None


if __name__ == "__main__":
    main()
