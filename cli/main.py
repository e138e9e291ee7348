"""The `whippet` command line: the same commands for the local cloud and for an AWS account."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer
import urllib3
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError

from cli import CliError
from cli.commands import data, machine, runs, serving, stack
from cli.commands.shared import Where, print_error
from cli.target import STATE, is_on_this_machine
from local import control

__all__ = ["main"]

_VERBS: dict[str, Callable[..., None]] = {
    "quotas": stack.check_quotas,
    "cost": stack.show_cost,
    "up": stack.up,
    "check": data.check,
    "upload": data.upload,
    "run": runs.run,
    "retry": runs.retry,
    "report": runs.report,
    "approve": runs.approve,
    "status": stack.show_status,
    "history": serving.history,
    "stop-run": runs.stop,
    "drift": serving.show_drift,
    "rollback": serving.roll_back,
    "wake": serving.wake_endpoint,
    "classify": serving.classify,
    "feedback": data.feedback,
    "export": serving.export,
    "key": stack.key,
    "logs": runs.logs,
    "down": stack.down,
    "leftovers": stack.leftovers,
    "settings": stack.show_settings,
    "env": machine.env,
    "stop": machine.stop,
    "demo": machine.run_demo,
}
"""The verbs in the order in which `whippet --help` lists them."""

_NO_ANSWER = (BotoConnectionError, HTTPClientError, IncompleteReadError, urllib3.exceptions.HTTPError)
"""What the SDK raises when a request gets no answer, or only a part of one; urllib3's own within a streamed body."""

typer_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help=(
        "Image classification on Amazon SageMaker, from a folder of photos to an HTTPS API.\n\n"
        "Commands act on the local cloud, which runs on this machine; with --profile or --region they act in AWS."
    ),
)
for _name, _verb in _VERBS.items():
    typer_app.command(_name)(_verb)


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
    context.obj = Where(profile, region, env, tuple(c or ()))


def main() -> None:
    """Run the command; print errors that the user can fix without a traceback, and exit with status 1."""
    try:
        typer_app()
    except (CliError, control.CloudError) as error:
        print_error("error:", error)
        sys.exit(1)
    except ClientError as error:
        print_error("AWS answered:", error)
        sys.exit(1)
    except _NO_ANSWER as error:
        reason = _silence(error)
        print_error("error:", reason) if reason else print_error("AWS did not answer:", error)
        sys.exit(1)
    except BotoCoreError as error:
        print_error("error:", error)
        sys.exit(1)


def _silence(error: Exception) -> str | None:
    """Return what to tell about a request without an answer if it went to a local cloud that is gone."""
    url = error.kwargs.get("endpoint_url", "") if isinstance(error, BotoCoreError) else ""
    return control.silence(STATE) if is_on_this_machine(url) or (not url and control.died(STATE)) else None


if __name__ == "__main__":
    main()
