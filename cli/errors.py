"""The error every verb raises for what a user can mend."""

from __future__ import annotations

__all__ = ["CliError"]


class CliError(Exception):
    """What was wrong, what was expected and what to do: printed as it is, without a traceback, with exit status 1."""
