"""The nearest neighbours of every photo by cosine, without a matrix of all pairs in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Neighbours", "nearest"]

_ROWS, _COLUMNS = 1024, 16384
"""Size of the block of cosines that is in memory at once: 64 MB."""

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
    count = min(count, photos - 1)
    positions = np.empty((photos, count), dtype=np.int64)
    cosines = np.empty((photos, count), dtype=np.float32)

    for start in range(0, photos, _ROWS):
        block = rows[start : start + _ROWS]
        best = torch.full((len(block), count), -2.0)
        at = torch.zeros((len(block), count), dtype=torch.int64)
        for left in range(0, photos, _COLUMNS):
            found = block @ rows[left : left + _COLUMNS].T
            # no photo is its own neighbour
            own = torch.arange(start, start + len(block)) - left
            inside = (own >= 0) & (own < found.shape[1])
            found[torch.nonzero(inside)[:, 0], own[inside]] = -2.0
            values, columns = found.topk(min(count, found.shape[1]), dim=1)
            best, order = torch.cat([best, values], dim=1).topk(count, dim=1)
            at = torch.cat([at, columns + left], dim=1).gather(1, order)
        positions[start : start + len(block)] = at.numpy()
        cosines[start : start + len(block)] = best.numpy()
    return Neighbours(positions, cosines)
