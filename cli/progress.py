"""How far long work is: a bar in a terminal; elsewhere, as in a CI job's log, a line every half minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["LINE_SECONDS", "Stage", "progress_of"]

LINE_SECONDS = 30.0
"""Seconds between two lines where there is no terminal."""


class Stage:
    """A stage of the work, and how much of it is done. Threads may tell of theirs."""

    def __init__(self, progress: Progress, name: str, *, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=total)
        self._lock = threading.Lock()
        self._said = time.monotonic()

    def advance(self) -> None:
        """Count one more as done."""
        self._progress.advance(self._task)
        self._say()

    def reach(self, done: int) -> None:
        """Say how many are done."""
        self._progress.update(self._task, completed=done)
        self._say()

    def enter(self, name: str, *, done: int, total: int | None) -> None:
        """Go on with what may be another stage, and say how much of it is done."""
        self._progress.update(self._task, description=name, completed=done, total=total)
        self._say()

    def _say(self) -> None:
        console = self._progress.console
        if console.is_terminal:
            return
        with self._lock:
            if time.monotonic() - self._said < LINE_SECONDS:
                return
            self._said = time.monotonic()
        (task,) = self._progress.tasks
        of = "" if task.total is None else f" of {task.total:,.0f}"
        left = "" if task.time_remaining is None else f", {task.time_remaining:,.0f} s left"
        console.print(f"{task.description}: {task.completed:,.0f}{of}{left}", highlight=False, soft_wrap=True)


@contextmanager
def progress_of(console: Console, name: str, *, total: int | None = None) -> Iterator[Stage]:
    """Show how far the work inside is.

    Args:
        console: where it is shown; the bar is gone at the end.
        name: what is done, such as `uploading`.
        total: how many things there are to do, where that is known.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Stage(progress, name, total=total)
