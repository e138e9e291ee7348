"""The FailureReason of a job whose program failed."""

from __future__ import annotations

import re
import signal
from typing import Final

from local.sagemaker.context import MAX_REASON

__all__ = ["failure_reason"]

_TOOLKIT_STATUS: Final = re.compile(r"\bExitCode (-?\d+)\b")
"""What the sagemaker-training toolkit writes of a script that failed; its own exit status does not tell."""


def failure_reason(message: str, status: int) -> str:
    """Return `AlgorithmError: <message>, exit code: <status>`, as AWS does.

    If a signal ended the program or, by the toolkit's message, its script, the reason says so in words, which AWS's
    does not. SIGKILL is what Linux sends when memory has run out.

    Args:
        message: what the program wrote of its failure, or where to look.
        status: the program's exit status, 128 + N if signal N ended it.
    """
    said = _TOOLKIT_STATUS.search(message)
    number = _signal_of(status) or (_signal_of(int(said[1])) if said else None)
    ending = f", exit code: {status}"
    if number is not None:
        ending = f" ({_words(number)}){ending}"
    reason = f"AlgorithmError: {message}"
    return reason[: MAX_REASON - len(ending)] + ending


def _signal_of(status: int) -> int | None:
    """Return the signal that an exit status tells of: -N as Python's subprocess has it, 128 + N as shells have it."""
    number = -status if status < 0 else status - 128
    return number if 0 < number < signal.NSIG else None


def _words(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGKILL:
        return (
            f"The program was ended by {name}, most likely because the machine ran out of memory: use an instance type "
            "with more memory, or smaller batches"
        )
    return f"The program was ended by {name}"
