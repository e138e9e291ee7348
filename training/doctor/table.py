"""The features of all photos as tables in memory, in as few numbers as they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["DIMENSIONS", "ReadRows", "directions", "standardised", "unit", "usual_distance"]

DIMENSIONS: Final = 512
"""Principal components that are kept: 100,000 photos take 200 MB instead of 700 MB."""

_SAMPLE: Final = 8192
"""Photos that the standardisation and the components are computed from."""

_PAIRED: Final = 1_000
"""Photos of which all pairs tell how far apart classes are."""

_CHUNK: Final = 4096
"""Photos whose features are read at once."""

ReadRows = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Returns the features (N, dim) of the photos at N positions, from memory or from disk."""


def standardised(read: ReadRows, *, photos: int) -> NDArray[np.float32]:
    """Return features of mean 0 and deviation 1, turned to their principal components: (photos, `DIMENSIONS`)."""
    features = read(_sample(photos))
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # A feature that never changes says nothing; dividing by its deviation would amplify noise.
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0).astype(np.float32)
    turn = _components((features - mean) * scale)
    return _filled(lambda positions: ((read(positions) - mean) * scale) @ turn, photos=photos, dim=turn.shape[1])


def directions(read: ReadRows, *, photos: int) -> NDArray[np.float32]:
    """Return features turned to their principal components at length 1, whose products are cosines."""
    turn = _components(unit(read(_sample(photos))))
    return _filled(lambda positions: unit(read(positions) @ turn), photos=photos, dim=turn.shape[1])


def _sample(photos: int) -> NDArray[np.int64]:
    if photos <= _SAMPLE:
        return np.arange(photos)
    return np.sort(np.random.default_rng(0).choice(photos, size=_SAMPLE, replace=False))


def _filled(rows: ReadRows, *, photos: int, dim: int) -> NDArray[np.float32]:
    table = np.empty((photos, dim), dtype=np.float32)
    for start in range(0, photos, _CHUNK):
        positions = np.arange(start, min(start + _CHUNK, photos))
        table[positions] = rows(positions)
    return table


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows at length 1; a row of zeros stays as it is."""
    scaled: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return scaled


def usual_distance(read: ReadRows, labels: NDArray[np.int64]) -> float:
    """Return the median of one minus the cosine of two photos of different classes; 1 where there is one class.

    What is near is judged by it: photos of clothes are far apart, handwritten digits are all alike.

    Args:
        read: returns features of length 1; of large sets, a sample is read.
        labels: of all photos, (photos,).
    """
    some = np.sort(np.random.default_rng(0).permutation(len(labels))[:_PAIRED])
    rows, different = read(some), labels[some][:, None] != labels[some][None, :]
    return 1 - float(np.median((rows @ rows.T)[different])) if different.any() else 1.0


def _components(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the orthonormal directions of the largest squares, (dim, at most `DIMENSIONS`)."""
    photos, dim = features.shape
    kept = min(DIMENSIONS, photos, dim)
    if photos < dim:
        # the components of few photos come from their products with one another, a smaller matrix
        values, vectors = torch.linalg.eigh(torch.from_numpy(features @ features.T).double())
        values, vectors = values[-kept:], vectors[:, -kept:]
        used = values > values[-1] * 1e-10
        turn = torch.from_numpy(features.T).double() @ vectors[:, used] / values[used].sqrt()
    else:
        _, vectors = torch.linalg.eigh(torch.from_numpy(features.T @ features).double())
        turn = vectors[:, -kept:]
    found: NDArray[np.float32] = turn.float().numpy()
    return found
