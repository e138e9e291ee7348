"""This machine: the demo, and the local cloud that the other commands act on."""

from __future__ import annotations

import shlex

import typer

from cli import CliError
from cli.commands.shared import Plan, console
from cli.demo import demo
from cli.plans import plan_demo
from cli.target import STATE
from local import control

__all__ = ["env", "run_demo", "stop"]


def run_demo(context: typer.Context, *, plan: Plan = False) -> None:
    """Deploy, train and classify on this machine, with 4,000 handwritten digits."""
    if not context.obj.local:
        raise CliError("`whippet demo` runs on this machine only: leave --profile and --region out")
    if plan:
        plan_demo(console)
        return
    demo(console, env=context.obj.env, overrides=context.obj.overrides)


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


def stop(context: typer.Context) -> None:
    """Stop the local cloud and everything that runs in it."""
    if not context.obj.local:
        raise CliError(
            "`whippet stop` stops the local cloud and does nothing in AWS: leave --profile and --region out, or "
            "destroy the stack in AWS with `whippet down`"
        )
    console.print("the local cloud was stopped" if control.stop(STATE) else "the local cloud was not running")
