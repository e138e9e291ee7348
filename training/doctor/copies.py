"""Copies: photos that are the same picture, in groups, whatever their class and split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.doctor.neighbours import Neighbours
from training.doctor.same_picture import correlations

__all__ = ["CopyGroup", "group_copies", "same_content", "same_features", "same_pictures"]

_COSINE: Final = 0.6
"""Cosine of the features from which on two photos are looked at."""

_NEIGHBOURS: Final = 4
"""Nearest neighbours of a photo that are looked at: a copy is among them, unless more copies are nearer."""

_CORRELATION: Final = 0.68
"""Correlation of the pictures from which on they are the same, where others are as different as photos are."""

_ABOVE_OTHERS: Final = 0.3
"""How much more alike they must be than either is to others that are no copies: handwritten digits are all alike."""

_SURELY: Final = 0.96
"""Correlation that is enough in any data set."""

_OTHERS: Final = slice(7, 10)
"""The neighbours of a photo that are taken for other pictures, and no copies: the eighth to the tenth."""

_COSINE_ALONE: Final = 0.985
"""Cosine from which on photos are called the same where their pictures are not at hand."""

_NEARLY: Final = 0.999
"""The highest likeness of photos that are not the same file."""

Pairs = NDArray[np.int64]
"""Positions of two photos each, (pairs, 2)."""


@dataclass(frozen=True)
class CopyGroup:
    """Photos that are the same picture."""

    members: list[int]
    """Positions, ascending."""
    likeness: dict[int, float]
    """By position: the highest likeness with another of the group, 1 for the same file."""


def same_content(contents: Sequence[str]) -> tuple[Pairs, NDArray[np.float32]]:
    """Return pairs that link all photos of the same content, each with the first of them, and their likeness, 1."""
    first: dict[str, int] = {}
    pairs = [(first[content], at) for at, content in enumerate(contents) if first.setdefault(content, at) != at]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), np.ones(len(pairs), dtype=np.float32)


def same_pictures(
    neighbours: Neighbours, *, thumbnails: NDArray[np.uint8], proportions: NDArray[np.float64]
) -> tuple[Pairs, NDArray[np.float32]]:
    """Return the pairs of near neighbours whose pictures are the same, and their correlations.

    Args:
        neighbours: of every photo.
        thumbnails: of every photo, uint8, (photos, S, S).
        proportions: width by height of every photo, (photos,).
    """
    pairs = _near(neighbours, cosine=_COSINE)
    likeness = correlations(thumbnails, pairs, proportions=proportions)
    likely = likeness >= _CORRELATION
    pairs, likeness = pairs[likely], likeness[likely]
    same = likeness >= _limits(pairs, neighbours, thumbnails=thumbnails, proportions=proportions)
    return pairs[same], np.minimum(likeness[same], _NEARLY)


def _limits(
    pairs: Pairs, neighbours: Neighbours, *, thumbnails: NDArray[np.uint8], proportions: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return for each pair the correlation from which on its pictures are the same, (pairs,)."""
    photos = np.unique(pairs)
    others = neighbours.positions[photos, _OTHERS]
    if others.size == 0:  # no pairs, or too few photos to know what is usual
        return np.full(len(pairs), _CORRELATION, dtype=np.float32)
    apart = np.stack([np.repeat(photos, others.shape[1]), others.reshape(-1)], axis=1)
    usual = np.zeros(len(neighbours.positions), dtype=np.float32)
    usual[photos] = correlations(thumbnails, apart, proportions=proportions).reshape(others.shape).max(axis=1)
    limits: NDArray[np.float32] = np.minimum(usual[pairs].max(axis=1) + _ABOVE_OTHERS, _SURELY)
    return limits


def same_features(neighbours: Neighbours) -> tuple[Pairs, NDArray[np.float32]]:
    """Return the pairs of photos whose features are nearly the same, and their cosines."""
    pairs = _near(neighbours, cosine=_COSINE_ALONE)
    lookup = {
        (at, int(other)): float(cosine)
        for at in np.unique(pairs)
        for other, cosine in zip(neighbours.positions[at], neighbours.cosines[at], strict=True)
    }
    cosines = [max(lookup.get((a, b), 0.0), lookup.get((b, a), 0.0)) for a, b in pairs.tolist()]
    return pairs, np.minimum(np.array(cosines, dtype=np.float32), _NEARLY)


def group_copies(pairs: Pairs, likeness: NDArray[np.float32]) -> list[CopyGroup]:
    """Return the groups that pairs link, by their first photo; a chain of pairs is one group."""
    root: dict[int, int] = {}

    def find(at: int) -> int:
        while root.setdefault(at, at) != at:
            root[at] = root[root[at]]
            at = root[at]
        return at

    best: dict[int, float] = defaultdict(float)
    for (first, second), value in zip(pairs.tolist(), likeness.tolist(), strict=True):
        one, other = find(first), find(second)
        root[max(one, other)] = min(one, other)
        for at in (first, second):
            best[at] = max(best[at], value)

    groups: dict[int, list[int]] = defaultdict(list)
    for at in sorted(root):
        groups[find(at)].append(at)
    return [CopyGroup(members, {at: best[at] for at in members}) for _, members in sorted(groups.items())]


def _near(neighbours: Neighbours, *, cosine: float) -> Pairs:
    """Return each pair of near neighbours once, the lower position first."""
    near = neighbours.cosines[:, :_NEIGHBOURS] >= cosine
    first, rank = np.nonzero(near)
    second = neighbours.positions[first, rank]
    both = np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)
    return np.unique(both, axis=0).reshape(-1, 2)
