"""Keeps the debugger hook's errors away from the training, and in its report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import contract

__all__ = ["MAX_FAILURES", "Failures"]

MAX_FAILURES: Final = 20
"""The most different error messages that a report holds."""


class Failures:
    """The errors of a hook, whose parts run inside `attempt`, and the time that these parts took."""

    def __init__(self) -> None:
        self._messages: dict[str, None] = {}
        self._depth = 0
        self.count = 0
        """The number of errors, repeated ones included."""
        self.seconds = 0.0
        """The time spent inside `attempt`."""

    @property
    def messages(self) -> list[str]:
        """The different error messages, at most `MAX_FAILURES`, in the order they came."""
        return list(self._messages)

    @contextmanager
    def attempt(self, part: str) -> Iterator[None]:
        """Run a part of the hook: an error inside is noted and goes no further. Attempts may be nested."""
        start = time.perf_counter()
        self._depth += 1
        try:
            yield
        except Exception as error:  # whatever it is, the training is worth more than its tensors
            self.add(part, error)
        finally:
            self._depth -= 1
            if not self._depth:
                self.seconds += time.perf_counter() - start

    def add(self, part: str, error: Exception) -> None:
        """Note an error, and print a line for the first of its kind."""
        self.count += 1
        reason = error.strerror if isinstance(error, OSError) else str(error)  # without the name of each step's file
        message = f"{part}: {type(error).__name__}: {reason}"[: contract.MAX_ERROR_CHARACTERS]
        if message not in self._messages and len(self._messages) < MAX_FAILURES:
            self._messages[message] = None
            # Not the error's name: SageMaker's toolkit would take this line for the reason of a job that fails later.
            print(f"the debugger hook could not save {part}; the training goes on, and hook.json says why", flush=True)
