"""Stored features as the rows of a regression: scaled, weighted, and in memory only where they fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.embedding.store import SplitFeatures
from training.model.logistic_regression import Batch

__all__ = ["MEMORY", "Photos", "Rows"]

MEMORY: Final = 256 * 2**20
"""Bytes of rows that are kept in memory; more are read anew for every evaluation."""

_CHUNK: Final = 4096
"""Rows that are read at once."""


@dataclass(frozen=True)
class Photos:
    """Some photos of a split, in their first `views` views."""

    split: SplitFeatures
    images: NDArray[np.int64]
    """(N,): their positions in the split."""
    views: int

    @classmethod
    def every(cls, split: SplitFeatures, *, views: int | None = None) -> Photos:
        """Return all photos of a split, in all its views if `views` says nothing else."""
        return cls(split, np.arange(len(split.labels)), views or split.features.shape[0])

    @property
    def bytes(self) -> int:
        """Size of their features in memory."""
        dim: int = self.split.features.shape[2]
        return 4 * self.views * len(self.images) * dim


class Rows:
    """The scaled features of photos, a row for each view; every photo counts the same, however many views it has."""

    def __init__(self, photos: Sequence[Photos], *, mean: Tensor, scale: Tensor):
        """Scale features as a `Head` with this mean and scale, both (dim,), does."""
        self._photos, self._mean, self._scale = photos, mean, scale
        self._kept: list[Batch] | None = None
        if sum(part.bytes for part in photos) <= MEMORY:
            # one batch: many small ones would cost more than their sums
            parts = [(batch.features, batch.labels, batch.weights) for batch in self._read()]
            self._kept = [Batch(*(torch.cat(values) for values in zip(*parts, strict=True)))]

    def __iter__(self) -> Iterator[Batch]:
        return self._read() if self._kept is None else iter(self._kept)

    def _read(self) -> Iterator[Batch]:
        for part in self._photos:
            for view in range(part.views):
                for start in range(0, len(part.images), _CHUNK):
                    images = part.images[start : start + _CHUNK]
                    features = part.split.features[np.full(len(images), view, dtype=np.int64), images]
                    labels = torch.from_numpy(part.split.labels[images])
                    weights = torch.full((len(images),), 1 / part.views)
                    yield Batch((torch.from_numpy(features) - self._mean) * self._scale, labels, weights)
