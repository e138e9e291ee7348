"""What the verbs share: where they act, options of the same meaning, and how they print and ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from cli.check import printable
from cli.target import Target, find_target, read_settings
from cli.terminal import new_console
from infra.settings import Settings

__all__ = ["Json", "Plan", "RunOrNewest", "Where", "confirmation", "console", "print_error", "say"]

Plan = Annotated[bool, typer.Option("--plan", help="Say what it would do and cost, and do nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunOrNewest = Annotated[
    str | None, typer.Argument(metavar="RUN", help="A run as `whippet status` lists it; by default the newest one.")
]

console = new_console()


@dataclass(frozen=True)
class Where:
    """The options before the verb: the local cloud or AWS, the environment, and overrides of its settings."""

    profile: str | None
    region: str | None
    env: str
    overrides: tuple[str, ...]

    def target(self, *, start: bool = False) -> Target:
        """Return the deployment that the verb acts on; with `start`, start the local cloud if it is not running."""
        return find_target(
            profile=self.profile, region=self.region, env=self.env, overrides=self.overrides, start=start
        )

    def settings(self) -> Settings:
        """Return the environment's settings, for which nothing needs to be deployed."""
        return read_settings(self.env, self.overrides)

    @property
    def local(self) -> bool:
        """Whether the verb acts on the local cloud."""
        return self.profile is None and self.region is None


def say(text: str) -> None:
    """Print a line as text and not as markup, since names of files may contain square brackets."""
    console.print(Text(printable(text)), highlight=False, soft_wrap=True)


def print_error(what: str, error: Exception | str) -> None:
    """Print what went wrong to standard error."""
    new_console(stderr=True).print(Text.assemble((what, "red"), " ", str(error)), soft_wrap=True)


def confirmation(target: Target, *, yes: bool) -> Callable[[str], None]:
    """Return what asks a question before something is changed in AWS, and ends the command if the answer is no.

    It asks nothing on this machine, and nothing with `--yes`.
    """

    def confirm(question: str) -> None:
        if target.cloud is None and not yes:
            typer.confirm(question, abort=True)

    return confirm
