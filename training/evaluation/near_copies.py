"""Test photos that are nearly the same as photos that the model learnt from: resaved, resized, cropped, a burst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

import contract
from training.doctor.neighbours import nearest_among
from training.doctor.table import unit, usual_distance
from training.embedding.store import SplitFeatures
from training.evaluation.intervals import wilson

__all__ = ["PERHAPS", "RATIO", "SURELY", "find_near_copies", "is_near_copy", "near_copies"]

SURELY: Final = 0.08
"""How near a photo's nearest neighbour may be to be the same picture, as a share of how far photos of different classes
usually are from one another, whatever else is near: there may be more copies."""

PERHAPS: Final = 0.25
"""The same where no other photo is as near: a cropped copy is farther away."""

RATIO: Final = 0.3
"""How near the nearest neighbour must then be, as a share of how far the fifth nearest is."""

_OTHER: Final = 4
"""Which neighbour is taken for another picture: the fifth."""

_BATCH: Final = 8192
"""Test photos whose features are in memory at once."""

_EXAMPLES: Final = 20


def find_near_copies(learnt: Sequence[SplitFeatures], test: SplitFeatures) -> list[contract.NearCopy]:
    """Return the test photos that are near-copies of photos of the other splits, in the order of their features.

    Photos are compared by the cosine of their plain views' features, in blocks, so that 100,000 of them need no more
    memory than a few thousand.
    """
    starts = np.cumsum([0, *(len(split.labels) for split in learnt)])

    def directions(positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the directions of photos at positions in all splits that were learnt from, one after the other."""
        parts = [
            _plain(split, positions[(positions >= start) & (positions < end)] - start)
            for split, start, end in zip(learnt, starts[:-1], starts[1:], strict=True)
        ]
        return unit(np.concatenate(parts))

    usual = usual_distance(directions, np.concatenate([split.labels for split in learnt]))
    found: list[contract.NearCopy] = []
    for first in range(0, len(test.labels), _BATCH):
        images = np.arange(first, min(first + _BATCH, len(test.labels)))
        near = nearest_among(unit(_plain(test, images)), read=directions, others=int(starts[-1]), count=_OTHER + 1)
        for at in np.flatnonzero(is_near_copy(near.cosines, usual=usual)):
            position = int(near.positions[at, 0])
            split = int(np.searchsorted(starts, position, side="right")) - 1
            found.append(
                {
                    "path": test.paths[int(images[at])],
                    "trained": learnt[split].paths[position - int(starts[split])],
                    "cosine": min(1.0, float(near.cosines[at, 0])),
                }
            )
    return found


def is_near_copy(cosines: NDArray[np.float32], *, usual: float) -> NDArray[np.bool_]:
    """Return which photos are near-copies of their nearest neighbour, (photos,).

    Args:
        cosines: with the nearest neighbours, the nearest first, (photos, neighbours).
        usual: distance of photos of different classes, one minus the cosine.
    """
    distances = 1 - cosines
    nearest = distances[:, 0]
    near: NDArray[np.bool_] = nearest <= SURELY * usual
    if cosines.shape[1] > _OTHER:
        near |= (nearest <= PERHAPS * usual) & (nearest <= RATIO * distances[:, _OTHER])
    return near


def near_copies(found: Sequence[contract.NearCopy], *, right: Mapping[str, bool]) -> contract.NearCopies:
    """Return what is reported of near-copies: how many there are, and the accuracy on all other test photos.

    Args:
        found: the near-copies.
        right: whether the model that is served classifies a test photo correctly, by its path.
    """
    copies = [copy for copy in found if copy["path"] in right]
    others = right.keys() - {copy["path"] for copy in copies}
    correct = sum(right[path] for path in others)
    return {
        "images": len(copies),
        "others": len(others),
        "accuracy_of_others": correct / len(others) if others else None,
        "interval_of_others": wilson(correct, len(others)) if others else None,
        "examples": sorted(copies, key=lambda copy: -copy["cosine"])[:_EXAMPLES],
    }


def _plain(split: SplitFeatures, images: NDArray[np.int64]) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = split.features[np.zeros(len(images), dtype=np.int64), images]
    return rows
