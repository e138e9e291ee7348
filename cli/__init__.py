"""The `whippet` command: deploy, upload, run, approve and classify, on this machine and in an AWS account."""

from __future__ import annotations

__all__ = ["CliError"]


class CliError(Exception):
    """An error the user can fix; the message says what was wrong, what was expected and what to do next.

    `whippet` prints it as it is, without a traceback, and exits with status 1.
    """
