"""The nearest neighbours of every photo by cosine, without a matrix of all pairs in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.doctor.table import ReadRows

__all__ = ["Neighbours", "nearest", "nearest_among"]

_ROWS, _COLUMNS = 1024, 16384
"""Size of the block of cosines that is in memory at once: 64 MB."""

_READ: Final = 4096
"""Photos whose features are read from disk at once."""

COUNT: Final = 10


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of each photo, the nearest first."""

    positions: NDArray[np.int64]
    """(photos, k)"""
    cosines: NDArray[np.float32]
    """(photos, k)"""


def nearest(directions: NDArray[np.float32], *, count: int = COUNT) -> Neighbours:
    """Return the `count` nearest neighbours of every photo, or all others where there are fewer.

    Args:
        directions: rows of length 1, (photos, dim).
        count: number of neighbours.
    """
    rows = torch.from_numpy(directions)
    photos = len(rows)
    found = _Best(photos, min(count, photos - 1))

    for left in range(0, photos, _COLUMNS):
        columns = rows[left : left + _COLUMNS]
        for start in range(0, photos, _ROWS):
            cosines = rows[start : start + _ROWS] @ columns.T
            # no photo is its own neighbour
            own = torch.arange(start, start + len(cosines)) - left
            inside = (own >= 0) & (own < len(columns))
            cosines[torch.nonzero(inside)[:, 0], own[inside]] = -2.0
            found.take(cosines, start=start, left=left)
    return found.neighbours()


def nearest_among(directions: NDArray[np.float32], *, read: ReadRows, others: int, count: int = COUNT) -> Neighbours:
    """Return the `count` nearest of some other photos for every photo, or all of them where there are fewer.

    Args:
        directions: of the photos, rows of length 1, (photos, dim).
        read: returns the directions of others at given positions, which are read once.
        others: how many there are.
        count: number of neighbours.
    """
    rows = torch.from_numpy(directions)
    found = _Best(len(rows), min(count, others))
    for left in range(0, others, _READ):
        columns = torch.from_numpy(read(np.arange(left, min(left + _READ, others))))
        for start in range(0, len(rows), _ROWS):
            found.take(rows[start : start + _ROWS] @ columns.T, start=start, left=left)
    return found.neighbours()


class _Best:
    """The nearest neighbours so far, as block after block of cosines is computed."""

    def __init__(self, photos: int, count: int) -> None:
        self._cosines = torch.full((photos, count), -2.0)
        self._positions = torch.zeros((photos, count), dtype=torch.int64)

    def take(self, cosines: Tensor, *, start: int, left: int) -> None:
        """Add cosines of the photos from `start` on with those from `left` on."""
        rows, count = slice(start, start + len(cosines)), self._cosines.shape[1]
        values, columns = cosines.topk(min(count, cosines.shape[1]), dim=1)
        together = torch.cat([self._cosines[rows], values], dim=1)
        self._cosines[rows], order = together.topk(count, dim=1)
        self._positions[rows] = torch.cat([self._positions[rows], columns + left], dim=1).gather(1, order)

    def neighbours(self) -> Neighbours:
        return Neighbours(self._positions.numpy(), self._cosines.numpy())
