"""The attempt at a Task state that the current thread makes: its execution, and whether it is over."""

from __future__ import annotations

import contextvars
import threading
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Attempt", "CancelledError", "current"]


@dataclass
class Attempt:
    """One attempt at a Task state; every Retry makes another.

    Attributes:
        execution: ministack's record of the execution.
        timed_out: set when the state's TimeoutSeconds have passed.
    """

    execution: dict[str, Any]
    timed_out: threading.Event = field(default_factory=threading.Event)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt is over, so that its result is not needed."""
        return self.timed_out.is_set() or self.execution["status"] != "RUNNING"


class CancelledError(Exception):
    """The execution was stopped, or the state timed out, while a task waited."""


current: Final[contextvars.ContextVar[Attempt | None]] = contextvars.ContextVar("attempt", default=None)
