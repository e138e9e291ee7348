"""The head: one linear layer on the backbone's features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["FeatureArray", "Head", "level_factors", "new_head"]

_LENGTH: Final = 4.0
"""Typical length of a scaled feature vector: makes learning rates of 0.001 to 0.1 right for any backbone's `dim`."""

_NO_DEVIATION: Final = 1e-6
_LEAST_DEVIATION: Final = 0.03
"""A feature's deviation counts as this share of its level's usual one at least (docs/decisions/head.md)."""

_CHUNK: Final = 4096
"""Images whose features are in memory at once."""


class FeatureArray(Protocol):
    """Features (views, images, dim), in memory or on disk; iterating gives views that can be sliced by image."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(views, images, dim)"""

    def __iter__(self) -> Iterator[Any]: ...


class Head(nn.Module):
    """Standardises the features, gives every level the same weight, and classifies: (N, dim) -> logits (N, classes)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, *, mean: Tensor, scale: Tensor, classes: int):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.linear = nn.Linear(mean.shape[0], classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits of the features."""
        logits: Tensor = self.linear((features - self.mean) * self.scale)
        return logits

    def folded(self) -> nn.Linear:
        """Return the same function as a single linear layer, which is what is served."""
        layer = nn.Linear(self.linear.in_features, self.linear.out_features)
        weight = self.linear.weight.detach().double() * self.scale.double()
        bias = self.linear.bias.detach().double() - weight @ self.mean.double()
        layer.load_state_dict({"weight": weight.float(), "bias": bias.float()})
        return layer.requires_grad_(False)


def new_head(features: FeatureArray, *, levels: list[int], classes: int) -> Head:
    """Return an untrained head that standardises by these features and gives all classes equal scores.

    Args:
        features: of the training split, (views, images, dim).
        levels: sizes of the parts of a feature vector; their sum is `dim`.
        classes: number of classes.
    """
    # mean and deviation of each feature over all views, a chunk of images at a time
    dim = features.shape[2]
    total, squares, count = np.zeros(dim), np.zeros(dim), 0
    for view in features:
        for start in range(0, len(view), _CHUNK):
            chunk = view[start : start + _CHUNK].astype(np.float64)
            total += chunk.sum(axis=0)
            squares += np.square(chunk).sum(axis=0)
            count += len(chunk)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0))

    # A feature that never changes carries no information. One that hardly ever does would be amplified until the photo
    # in which it does is a thousand times as far away as all the others.
    informative = deviation > _NO_DEVIATION
    usual = [_usual(level) for level in np.split(deviation, np.cumsum(levels)[:-1])]
    deviation = np.maximum(deviation, _LEAST_DEVIATION * np.repeat(usual, levels))
    size_of_level = np.repeat(levels, levels)
    scale = np.where(informative, _LENGTH / np.sqrt(len(levels) * size_of_level) / deviation, 0.0)
    return Head(mean=torch.from_numpy(mean).float(), scale=torch.from_numpy(scale).float(), classes=classes)


def _usual(deviation: NDArray[np.float64]) -> float:
    """Return the median deviation of those features of a level that change at all; 1 where none does."""
    changing = deviation[deviation > _NO_DEVIATION]
    return float(np.median(changing)) if len(changing) else 1.0


def level_factors(levels: Sequence[int], *, weights: Sequence[float]) -> Tensor:
    """Return what to multiply a head's scale with, (dim,), so that the levels count as `weights` say.

    A new head's levels have the same weight; scaled feature vectors keep their typical length.
    """
    length = (sum(weight**2 for weight in weights) / len(weights)) ** 0.5
    relative: Tensor = torch.tensor(weights) / length
    return relative.repeat_interleave(torch.tensor(levels))
