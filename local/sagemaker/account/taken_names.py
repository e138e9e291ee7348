"""Names of jobs, which SageMaker never frees: not after the job's end, and not with the stack that started it."""

from __future__ import annotations

import threading
from pathlib import Path

from local.sagemaker.resources import Kind

__all__ = ["TakenNames"]


class TakenNames:
    """The names of all jobs that the account has ever had.

    Args:
        file: a file with a line for each, read at the start and appended to; None for no file.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._names = set(file.read_text().splitlines()) if file and file.exists() else set()

    def __contains__(self, job: tuple[Kind, str]) -> bool:
        """Tell whether a job of this kind and name was created before."""
        with self._lock:
            return _line(*job) in self._names

    def add(self, kind: Kind, name: str) -> None:
        """Take a name, for ever."""
        with self._lock:
            self._names.add(_line(kind, name))
            if self._file is not None:
                with self._file.open("a") as file:
                    file.write(f"{_line(kind, name)}\n")


def _line(kind: Kind, name: str) -> str:
    # names that differ only in case have the same ARN
    return f"{kind.path}/{name.lower()}"
