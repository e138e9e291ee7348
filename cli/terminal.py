"""The terminal: what the commands print is text, never markup."""

from __future__ import annotations

import os
from typing import Final

from rich.console import Console
from rich.rule import Rule

__all__ = ["new_console", "print_heading"]

_WIDTH_OF_A_FILE: Final = 1_000
"""Columns where the output goes into a file or another program."""

_WIDTH_OF_A_HEADING: Final = 100


def new_console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is.

    Names of files and classes, log lines and errors may hold square brackets or `:smile:`, which rich would take for
    markup: `[old]` would vanish, and `[/old]` would end the command with a traceback. Style is given by `Text`.

    In a terminal lines are as long as it is wide, elsewhere as long as they are: a path that is broken in two can
    neither be searched for nor opened. `COLUMNS` sets another width.
    """
    console = Console(markup=False, emoji=False, highlight=False, stderr=stderr)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDTH_OF_A_FILE
    return console


def print_heading(console: Console, text: str) -> None:
    """Print a line with a text, over what belongs to it."""
    console.print(Rule(text, align="left"), width=min(console.width, _WIDTH_OF_A_HEADING))
