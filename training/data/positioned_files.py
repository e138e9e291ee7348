"""Files too large for memory, read by position: rows of arrays, and lines of text.

By position and not through a memory map: Linux maps whole folios of up to 2 MB where one row is asked for, so that a
few hundred random rows bring the whole file into the process's memory (seen on ext4 with Linux 6.18). A positioned read
of a row costs a microsecond.
"""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["DiskRows", "Lines", "line_offsets"]

_READ_BYTES = 512
"""Longer than nearly every line: one read is mostly enough."""


class DiskRows:
    """An array (rows, ...) in a file; any number of threads may read and write different rows at once."""

    def __init__(self, file: Path, *, shape: tuple[int, ...], dtype: DTypeLike, offset: int = 0, write: bool = False):
        """Open the file; its first row begins at `offset`."""
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._file, self._offset = file, offset
        self._descriptor = os.open(file, os.O_RDWR if write else os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    @classmethod
    def of_npy(cls, file: Path) -> DiskRows:
        """Open a `.npy` file for reading."""
        with file.open("rb") as opened:
            np.lib.format.read_magic(opened)
            shape, _, dtype = np.lib.format.read_array_header_1_0(opened)
            return cls(file, shape=shape, dtype=dtype, offset=opened.tell())

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows of these numbers: (N, ...)."""
        return self._read(numbers, self.shape[1:])

    def cells(self, numbers: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[Any]:
        """Return the part `columns[n]` along the array's second axis of each row `numbers[n]`: (N, ...)."""
        return self._read(numbers * self.shape[1] + columns, self.shape[2:])

    def write(self, number: int, values: NDArray[Any]) -> None:
        """Set one row."""
        data = np.ascontiguousarray(values, dtype=self.dtype)
        os.pwrite(self._descriptor, data.data, self._offset + number * data.nbytes)

    def _read(self, items: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return items of a shape; they are numbered through the whole file."""
        found = np.empty((len(items), *shape), dtype=self.dtype)
        if not found.size:
            return found
        size, target = found[0].nbytes, found.reshape(-1).view(np.uint8).data
        for place, item in enumerate(items.tolist()):
            here = target[place * size : (place + 1) * size]
            if os.preadv(self._descriptor, [here], self._offset + item * size) != size:
                raise OSError(f"{self._file} ends before row {item}; it was cut short while it was read")
        return found


def line_offsets(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield where each line that is not blank begins, and the line."""
    offset = 0
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield offset, line
            offset += len(line)


class Lines:
    """Some lines of a file: eight bytes of memory each, read as they are asked for, by any number of threads."""

    def __init__(self, file: Path, offsets: NDArray[np.int64] | None = None):
        """Open the file; `offsets` are the lines' beginnings, by default those of all lines that are not blank."""
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
