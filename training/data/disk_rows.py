"""Rows of a large array on disk, read and written by position.

By position and not through a memory map: Linux maps whole folios of up to 2 MB where one row is asked for, so that a
few hundred random rows bring the whole file into the process's memory (seen on ext4 with Linux 6.18). A positioned read
of a row costs a microsecond.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["DiskRows"]


class DiskRows:
    """An array (rows, ...) in a file; any number of threads may read and write different rows at once."""

    def __init__(self, file: Path, *, shape: tuple[int, ...], dtype: DTypeLike, offset: int = 0, write: bool = False):
        """`offset` is where in the file the first row begins."""
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._file, self._offset = file, offset
        self._descriptor = os.open(file, os.O_RDWR if write else os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    @classmethod
    def of_npy(cls, file: Path) -> DiskRows:
        """Of a `.npy` file, to be read."""
        with file.open("rb") as opened:
            np.lib.format.read_magic(opened)
            shape, _, dtype = np.lib.format.read_array_header_1_0(opened)
            return cls(file, shape=shape, dtype=dtype, offset=opened.tell())

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """(N, ...): the rows of these numbers."""
        return self._read(numbers, self.shape[1:])

    def cells(self, numbers: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[Any]:
        """(N, ...): of row `numbers[n]`, the part `columns[n]` along the array's second axis."""
        return self._read(numbers * self.shape[1] + columns, self.shape[2:])

    def write(self, number: int, values: NDArray[Any]) -> None:
        """Set one row."""
        data = np.ascontiguousarray(values, dtype=self.dtype)
        os.pwrite(self._descriptor, data.data, self._offset + number * data.nbytes)

    def _read(self, items: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[Any]:
        """Items of a shape, numbered through the whole file."""
        found = np.empty((len(items), *shape), dtype=self.dtype)
        if not found.size:
            return found
        size, target = found[0].nbytes, found.reshape(-1).view(np.uint8).data
        for place, item in enumerate(items.tolist()):
            here = target[place * size : (place + 1) * size]
            if os.preadv(self._descriptor, [here], self._offset + item * size) != size:
                raise OSError(f"{self._file} ends before row {item}; it was cut short while it was read")
        return found
