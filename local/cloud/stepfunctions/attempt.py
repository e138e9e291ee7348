"""Which execution the current Task state runs for, and whether it is over."""

from __future__ import annotations

import contextvars
import threading
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Attempt", "CancelledError", "current"]


@dataclass
class Attempt:
    """The execution a task runs for, and whether its state has timed out."""

    execution: dict[str, Any]
    timed_out: threading.Event = field(default_factory=threading.Event)

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the task's result any more."""
        return self.timed_out.is_set() or self.execution["status"] != "RUNNING"


class CancelledError(Exception):
    """The execution was stopped or timed out while a task waited."""


current: Final[contextvars.ContextVar[Attempt | None]] = contextvars.ContextVar("attempt", default=None)
