"""The stack: what it needs and costs, its deployment and its end, what it tells about itself."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli import CliError, deployment, quotas, settings, status
from cli.commands.shared import Json, Plan, confirmation, console
from cli.cost import overridden, planned_run, show_plan, show_run
from cli.endpoint import refuse_to_forget
from cli.leftovers.command import as_json, find_leftovers, remove_leftovers, show_leftovers
from cli.plans import count_photos, plan_deployment, target_if_there
from cli.target import STATE
from cli.terminal import new_console
from local import control

__all__ = ["check_quotas", "down", "key", "leftovers", "show_cost", "show_settings", "show_status", "up"]


def check_quotas(context: typer.Context) -> None:
    """Compare the account's quotas with what the environment needs, before its first deployment.

    The command ends with status 1 if one is too small, and prints the commands that ask for more.
    """
    quotas.check(context.obj.target(), console=console)


def show_cost(
    context: typer.Context,
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run as `whippet status` lists it; by default the next one.")
    ] = None,
    *,
    photos: Annotated[
        int | None, typer.Option(min=1, help="Of the data set; by default those in the bucket are counted.")
    ] = None,
    overrides: Annotated[str, typer.Option("--input", metavar="JSON", help="The next run's overrides.")] = "{}",
    machine_readable: Json = False,
) -> None:
    """Show what the next run will cost, at most and about, and what stands costs a month; or what a run did cost."""
    if run is not None:
        show_run(context.obj.target(), run, machine_readable=machine_readable, console=console)
        return
    aside = new_console(stderr=True)
    effective = overridden(context.obj.settings(), overrides)
    target = target_if_there(context.obj.target, console=aside)
    counted = photos or (None if target is None else count_photos(target))
    planned = planned_run(effective, photos=counted)
    show_plan(target, planned, machine_readable=machine_readable, console=console)


def up(context: typer.Context, *, plan: Plan = False) -> None:
    """Deploy the stack, and show its addresses.

    On this machine, the local cloud is started first if it is not running.
    """
    if plan:
        plan_deployment(context.obj.settings(), local=context.obj.local, console=console)
        return
    target = context.obj.target(start=True)
    refuse_to_forget(target)
    deployment.deploy(target)
    status.show(target, console=console)


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


def leftovers(
    context: typer.Context,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what need not stay.")] = False,
    data: Annotated[
        bool, typer.Option("--data", help="With --remove: also the buckets with the photos, models and results.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove in AWS without asking.")] = False,
    machine_readable: Json = False,
) -> None:
    """List what is left of an environment whose stack was destroyed, what it costs, and remove it.

    AWS keeps some things beyond the stack, such as the records of jobs and their logs; others stay where a person made
    CloudFormation let them go.
    """
    if data and not remove:
        raise CliError("--data is for --remove: give both to remove the photos, the models and the results, too")
    target = context.obj.target()
    found = find_leftovers(target)

    if remove:
        remove_leftovers(target, found, data=data, confirm=confirmation(target, yes=yes), console=console)
    elif machine_readable:
        typer.echo(as_json(found))
    else:
        show_leftovers(target, found, console=console)


def show_status(context: typer.Context) -> None:
    """Show the deployed stack, the model in service and the newest runs."""
    status.show(context.obj.target(), console=console)


def key(context: typer.Context) -> None:
    """Print the API's key, for a command such as `curl -H "x-api-key: $(whippet key)" …`."""
    typer.echo(context.obj.target().api_key)


def show_settings(
    context: typer.Context,
    *,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """Show every setting: its value in the environment, the values allowed, and its meaning."""
    values = context.obj.settings()
    if as_markdown:
        typer.echo(settings.markdown(values))
        return
    table = Table("setting", "value", "allowed", "meaning", box=None, padding=(0, 2, 0, 0))
    for row in settings.rows(values):
        table.add_row(*row)
    console.print(table)
