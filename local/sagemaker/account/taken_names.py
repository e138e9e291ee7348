"""Names of jobs, which SageMaker does not free after the job's end, nor with the stack that started it.

Only the deletion of the job's record frees its name.
"""

from __future__ import annotations

import threading
from pathlib import Path

from local.sagemaker.resources import Kind

__all__ = ["TakenNames"]


class TakenNames:
    """The names of all jobs that the account has had, except those whose record was deleted.

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
        """Take a name, until it is freed."""
        with self._lock:
            self._names.add(_line(kind, name))
            if self._file is not None:
                with self._file.open("a") as file:
                    file.write(f"{_line(kind, name)}\n")

    def free(self, kind: Kind, name: str) -> None:
        """Let a name be given again."""
        with self._lock:
            self._names.discard(_line(kind, name))
            if self._file is not None:
                self._file.write_text("".join(f"{line}\n" for line in sorted(self._names)))


def _line(kind: Kind, name: str) -> str:
    # names that differ only in case have the same ARN
    return f"{kind.path}/{name.lower()}"
