"""Odd ones out: photos that have no ten others like them, whatever their class."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.doctor.neighbours import Neighbours

__all__ = ["FEWEST", "odd_ones"]

FEWEST: Final = 50
"""Photos that a data set needs before any of them is odd."""

_DISTANCE: Final = 0.6
"""Cosine distance to the tenth neighbour above which a photo may be odd."""

_FACTOR: Final = 1.25
"""How many times as far as nine in ten photos' tenth neighbour it must be, too."""


def odd_ones(neighbours: Neighbours) -> list[tuple[int, float]]:
    """Return the positions of the odd photos, the oddest first, and how many times as far they are as nine in ten."""
    photos = len(neighbours.positions)
    if photos < FEWEST:
        return []
    distances: NDArray[np.float32] = 1 - neighbours.cosines[:, -1]
    usual = float(np.quantile(distances, 0.9))
    limit = max(_DISTANCE, _FACTOR * usual)
    order = np.argsort(-distances, kind="stable")
    return [(int(at), float(distances[at]) / usual) for at in order if distances[at] > limit]
