"""Lines of a file by number, without holding them in memory: millions of names of photos."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lines", "line_offsets"]


def line_offsets(file: Path) -> Iterator[tuple[int, bytes]]:
    """Where each line that is not blank begins, and the line."""
    offset = 0
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield offset, line
            offset += len(line)


class Lines:
    """Some lines of a file: eight bytes of memory each, read as they are asked for."""

    def __init__(self, file: Path, offsets: NDArray[np.int64] | None = None):
        """`offsets` are the lines' beginnings; by default those of all lines that are not blank."""
        if offsets is None:
            found = array("q", (offset for offset, _ in line_offsets(file)))
            offsets = np.frombuffer(found, dtype=np.int64) if found else np.zeros(0, dtype=np.int64)
        self._offsets = offsets
        with file.open("rb") as opened:
            self._bytes = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) if file.stat().st_size else b""

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, number: int) -> bytes:
        start = int(self._offsets[number])
        end = self._bytes.find(b"\n", start)
        return self._bytes[start : end if end >= 0 else None]
