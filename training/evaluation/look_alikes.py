"""Photos of one class that look alike: the groups of photos, as far as they can be seen."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.doctor.table import usual_distance

__all__ = ["clusters", "look_alikes"]

_SHARE: Final = 0.45
"""How far apart two groups of photos may be to be one, as a share of how far photos of different classes usually are:
handwritten digits are all alike, photos of clothes are not."""


def look_alikes(directions: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of each photo's group, (photos,): photos of one class that look alike.

    Args:
        directions: of the features, rows of length 1, (photos, dim).
        labels: (photos,)
    """
    limit = 1 - _SHARE * usual_distance(directions.__getitem__, labels)
    numbers = np.zeros(len(labels), dtype=np.int64)
    count = 0
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        found = clusters(directions[members] @ directions[members].T, limit=limit)
        numbers[members] = count + found
        count += int(found.max()) + 1
    return numbers


def clusters(alike: NDArray[np.float32], *, limit: float) -> NDArray[np.int64]:
    """Return the number of each photo's cluster, (photos,), by average linkage of cosines (photos, photos) to a limit.

    Clusters that are each other's nearest are merged, found by a chain of nearest neighbours (F. Murtagh, "A Survey of
    Recent Advances in Hierarchical Clustering Algorithms", 1983). A cluster to which none is near enough stays as it
    is: no merging of others brings one nearer to it.
    """
    rows = len(alike)
    alike = alike.astype(np.float64)
    np.fill_diagonal(alike, -np.inf)
    sizes, cluster_of = np.ones(rows), np.arange(rows)
    waiting = set(range(rows))
    chain: list[int] = []
    while waiting:
        if not chain:
            chain.append(min(waiting))
        tip = chain[-1]
        nearest = int(alike[tip].argmax())
        # the one before on the chain, if it is as near: otherwise equal distances would go round in a circle
        if len(chain) > 1 and alike[tip, chain[-2]] >= alike[tip, nearest]:
            nearest = chain[-2]

        if alike[tip, nearest] < limit:
            waiting.discard(tip)
            chain.pop()
        elif len(chain) > 1 and nearest == chain[-2]:
            merged = (sizes[tip] * alike[tip] + sizes[nearest] * alike[nearest]) / (sizes[tip] + sizes[nearest])
            merged[[tip, nearest]] = -np.inf
            alike[nearest], alike[:, nearest] = merged, merged
            alike[tip], alike[:, tip] = -np.inf, -np.inf
            sizes[nearest] += sizes[tip]
            cluster_of[cluster_of == tip] = nearest
            waiting.discard(tip)
            del chain[-2:]
        else:
            chain.append(nearest)
    numbers: NDArray[np.int64] = np.unique(cluster_of, return_inverse=True)[1]
    return numbers
