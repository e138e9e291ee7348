"""Photos decoded once and kept on disk at a fixed size, for the epochs after the first.

Every photo is squeezed into a square of `side` pixels, its proportions kept beside it, so that a random crop of the
square is the same part of the photo as without the cache. Only the resolution is lower: that of a photo whose shorter
side is `side` pixels, which is what ImageNet's networks are commonly trained from.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import contract
from training.data.positioned_files import DiskRows

__all__ = ["DecodedCache"]

_VERSION = 2
"""Raise when what is kept of a photo changes."""


class DecodedCache:
    """Pixels of the photos of one list, filled as they are first seen, by any number of threads and processes.

    A photo's entry is complete when its height and width are set: they are written after the pixels.
    """

    def __init__(self, folder: Path, *, side: int, count: int):
        """Open a cache that `open_for` made."""
        self._pixels = DiskRows(folder / "pixels", shape=(count, side, side, 3), dtype=np.uint8, write=True)
        self._sides = np.memmap(folder / "sides", dtype=np.uint32, mode="r+", shape=(count, 2))
        self.folder = folder

    @classmethod
    def open_for(
        cls,
        records: Sequence[contract.ImageRecord],
        *,
        folder: Path,
        side: int,
        interpolation: contract.Interpolation = "bilinear",
    ) -> DecodedCache | None:
        """Return the cache of these photos below `folder`, new or as an earlier process left it.

        Photos squeezed with another interpolation are in a cache of their own. Return None where the disk has no
        room for all photos: a cache of some of them is not worth its reads.
        """
        place = folder / _fingerprint(records, side=side, interpolation=interpolation)
        if not place.exists():
            needed = len(records) * (side * side * 3 + 8)
            folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(folder).free < needed * 1.05:
                print(f"decoded photos are not cached: that would need {needed / 2**30:.1f} GiB of disk", flush=True)
                return None
            _make(place, pixels=len(records) * side * side * 3, sides=len(records) * 8)
        return cls(place, side=side, count=len(records))

    def get(self, position: int) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
        """Return pixels (side, side, 3) and the photo's own width and height; None if it has not been put yet."""
        height, width = (int(value) for value in self._sides[position])
        if not width:
            return None
        return self._pixels.rows(np.array([position]))[0], (width, height)

    def put(self, position: int, pixels: NDArray[np.uint8], *, sides: tuple[int, int]) -> None:
        """Keep a photo's pixels (side, side, 3) and its own width and height."""
        self._pixels.write(position, pixels)
        width, height = sides
        self._sides[position, 0] = height
        self._sides[position, 1] = width  # last: `get` looks at it first


def _fingerprint(records: Sequence[contract.ImageRecord], *, side: int, interpolation: str) -> str:
    digest = hashlib.sha256(f"{_VERSION} {side} {interpolation}".encode())
    for record in records:
        digest.update(json.dumps([record["path"], record["etag"]]).encode())
    return digest.hexdigest()[:32]


def _make(place: Path, *, pixels: int, sides: int) -> None:
    """Make files of so many bytes in one step, so that of two processes at once one wins and both use the same files.

    The pixels' blocks are taken as they are written, which may fail on a disk that others have filled by then. The
    sides' are taken now: a memory map that finds no block ends the process by a signal.
    """
    new = Path(tempfile.mkdtemp(dir=place.parent, prefix="new-"))
    with (new / "pixels").open("wb") as file:
        file.truncate(pixels)
    (new / "sides").write_bytes(bytes(sides))
    try:
        new.rename(place)
    except OSError:
        shutil.rmtree(new)
        if not place.is_dir():
            raise
