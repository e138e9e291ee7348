"""The attempt at a Task state that the current thread makes: its execution, and whether it is over."""

from __future__ import annotations

import contextvars
import threading
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Attempt", "OverError", "current"]


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
    def over(self) -> bool:
        """Whether nobody waits for the attempt's result any more."""
        return self.timed_out.is_set() or self.execution["status"] != "RUNNING"

    @property
    def aborted(self) -> bool:
        """Whether Step Functions cancels the task, that is, stops its job.

        It does so when the execution is stopped, and not when a state or the execution times out (Developer Guide,
        "Run a Job (.sync)").
        """
        return not self.timed_out.is_set() and self.execution["status"] == "ABORTED"


class OverError(Exception):
    """The execution ended, or the state timed out, while a task waited."""


current: Final[contextvars.ContextVar[Attempt | None]] = contextvars.ContextVar("attempt", default=None)
