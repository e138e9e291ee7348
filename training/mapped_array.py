"""Large arrays on disk, read and written through memory maps that do not fill this process's memory."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MappedArray"]

_LET_GO_BYTES = 64 * 2**20
"""Bytes touched after which the map's pages are let go of."""


class MappedArray:
    """A memory-mapped `.npy` file, or plain file, whose pages leave this process's memory as it goes on.

    They stay in the system's page cache as long as there is room, so coming back to them costs little; but a job that
    walks over 100,000 photos is no larger than one that walks over 10,000.
    """

    def __init__(self, array: np.memmap[Any, Any]):
        self._array, self._touched = array, 0

    @classmethod
    def of_npy(cls, file: Path) -> MappedArray:
        """Of a `.npy` file, to be read."""
        return cls(np.lib.format.open_memmap(file, mode="r"))

    @property
    def values(self) -> NDArray[Any]:
        """The array itself. Call `touched` for what is read or written of it."""
        return self._array

    def touched(self, count: int) -> None:
        """Note that so many bytes were read or written; a count lost between threads only shifts the moment."""
        self._touched += count
        if self._touched > _LET_GO_BYTES:
            self._touched = 0
            mapping: mmap.mmap = self._array._mmap  # type: ignore[attr-defined]  # numpy offers no public way to it
            mapping.madvise(mmap.MADV_DONTNEED)
