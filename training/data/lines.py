"""Lines of a file by number, without holding them in memory: millions of names of photos."""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lines", "line_offsets"]

_READ_BYTES = 512
"""More than nearly every line has."""


def line_offsets(file: Path) -> Iterator[tuple[int, bytes]]:
    """Where each line that is not blank begins, and the line."""
    offset = 0
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield offset, line
            offset += len(line)


class Lines:
    """Some lines of a file: eight bytes of memory each, read as they are asked for, by any number of threads."""

    def __init__(self, file: Path, offsets: NDArray[np.int64] | None = None):
        """`offsets` are the lines' beginnings; by default those of all lines that are not blank."""
        if offsets is None:
            found = array("q", (offset for offset, _ in line_offsets(file)))
            offsets = np.frombuffer(found, dtype=np.int64) if found else np.zeros(0, dtype=np.int64)
        self._offsets = offsets
        self._descriptor = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, number: int) -> bytes:
        start, size = int(self._offsets[number]), _READ_BYTES
        while True:
            line, newline, _ = os.pread(self._descriptor, size, start).partition(b"\n")
            if newline or len(line) < size:
                return line
            size *= 4
