"""The terminal: what the commands print is text, never markup."""

from __future__ import annotations

from rich.console import Console

__all__ = ["new_console"]


def new_console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is.

    Names of files and classes, log lines and errors may hold square brackets or `:smile:`, which rich would take for
    markup: `[old]` would vanish, and `[/old]` would end the command with a traceback. Style is given by `Text`.
    """
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr)
