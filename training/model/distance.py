"""How far a photo is from everything that the model was trained on, by the features that the head reads.

Four parts, which docs/decisions/unknown.md compares with others, are added up:

* Mahalanobis distance to the nearest class, with one covariance for all classes (Lee et al., "A Simple Unified
  Framework for Detecting Out-of-Distribution Samples", 2018), shrunk towards a multiple of the identity. It tells
  photos of something else altogether. The covariance is that of the features' principal components; in what they leave
  out, all directions have the same variance, as in probabilistic PCA. So a photo costs some small matrix products.
* The same distance within the directions in which the classes differ, those of linear discriminant analysis.
* How little the highest logit stands out from the mean one, and the entropy of the probabilities: the head's doubt.

All but the first tell photos of a class that is like those of the training.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.model.head import FeatureArray, new_head

__all__ = ["PARTS", "Distance", "fit_distance"]

PARTS: Final = ("mahalanobis", "discriminant", "logit", "entropy")
"""Names of the parts, in their order."""

RANK: Final = 256
"""Principal components whose covariance is estimated."""

SHRINKAGE: Final = 0.1
"""Share of the covariance that is replaced by the same variance in all directions."""

PHOTOS: Final = 8192
"""Photos that the statistics are taken from, at most; of more, some of every class are drawn."""

ROWS: Final = 16384
"""Feature vectors that they are taken from, at most: photos in one or several views. Of 3,000 numbers each, they take
200 MB."""

_ITERATIONS: Final = 6
_CHUNK: Final = 4096
"""Photos whose features are read at once."""

_SMALLEST: Final = 1e-12
"""Variances and probabilities below count as this much."""


class Distance(nn.Module):
    """From features (N, dim), logits and probabilities (N, classes) to distances (N,), at most 1 for known photos.

    The distance is the sum of `weights` x max(part - `offsets`, 0). Both have a number for each part, which is set
    after calibration on photos that were held out, in the exported file.
    """

    mean: Tensor
    scale: Tensor
    components: Tensor
    whitening: Tensor
    centre: Tensor
    discriminants: Tensor
    class_centres: Tensor
    remainder: Tensor
    offsets: Tensor
    weights: Tensor

    def __init__(
        self,
        *,
        mean: Tensor,
        scale: Tensor,
        components: Tensor,
        whitening: Tensor,
        centre: Tensor,
        discriminants: Tensor,
        class_centres: Tensor,
        remainder: Tensor,
    ):
        """Take the statistics of the training photos.

        Args:
            mean: subtracted from the features, (dim,).
            scale: the features are multiplied with it afterwards, (dim,).
            components: principal components of the scaled features, (dim, rank), orthonormal.
            whitening: from the components' values to whitened ones, (rank, rank).
            centre: mean of the classes' whitened means, (rank,).
            discriminants: directions in which those means differ, (rank, directions), orthonormal.
            class_centres: each class's whitened mean along them, from the centre, (classes, directions).
            remainder: inverse of the variance in each direction that the components leave out, ().
        """
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.register_buffer("components", components)
        self.register_buffer("whitening", whitening)
        self.register_buffer("centre", centre)
        self.register_buffer("discriminants", discriminants)
        self.register_buffer("class_centres", class_centres)
        self.register_buffer("remainder", remainder)
        self.register_buffer("offsets", torch.zeros(len(PARTS)))
        self.register_buffer("weights", torch.ones(len(PARTS), 1))

    def forward(self, features: Tensor, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Return the weighted sum of the parts, (N,)."""
        beyond = (self.parts(features, logits, probabilities) - self.offsets).clamp(min=0)
        return (beyond @ self.weights).squeeze(1)

    def parts(self, features: Tensor, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Return the parts, (N, parts), in the order of `PARTS`; the Mahalanobis distances are squared."""
        discriminant, beside = self._mahalanobis(features)
        stands_out = logits.amax(dim=1) - logits.mean(dim=1)
        entropy = -(probabilities * probabilities.clamp(min=_SMALLEST).log()).sum(dim=1)
        return torch.stack([discriminant + beside, discriminant, -stands_out, entropy], dim=1)

    def _mahalanobis(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the squared distance to the nearest class along the discriminants, and in all other directions, (N,).

        The classes' means differ along the discriminants alone, so that the second is the same for all of them.
        """
        scaled = (features - self.mean) * self.scale
        values = scaled @ self.components
        left_out = (scaled.square().sum(dim=1) - values.square().sum(dim=1)).clamp(min=0) * self.remainder

        whitened = values @ self.whitening - self.centre
        along = whitened @ self.discriminants
        across = (whitened.square().sum(dim=1) - along.square().sum(dim=1)).clamp(min=0)

        # |a - b|² = |a|² - 2 ab + |b|², for the nearest class
        to_classes = self.class_centres.square().sum(dim=1) - 2 * along @ self.class_centres.T
        nearest = (along.square().sum(dim=1) + to_classes.amin(dim=1)).clamp(min=0)
        return nearest, across + left_out


def fit_distance(features: FeatureArray, labels: NDArray[np.int64], *, levels: list[int], seed: int) -> Distance:
    """Return the distance from training photos, not calibrated yet.

    Args:
        features: of the training photos, (views, images, dim); view 0 is the plain one.
        labels: (images,)
        levels: sizes of the parts of a feature vector, which count the same.
        seed: of the draw where there are more than `PHOTOS`.
    """
    rows, classes = _rows(features, labels, seed=seed)

    # the head's standardisation: each level has the same typical length
    head = new_head(rows[np.newaxis], levels=levels, classes=1)
    scaled = (torch.from_numpy(rows) - head.mean) * head.scale
    dim = scaled.shape[1]

    # principal components, by the covariance over all classes, and the variance that they leave out
    rank = min(RANK, dim)
    components = _leading_directions(scaled.T @ scaled / len(scaled), rank=rank, seed=seed)
    values = (scaled @ components).double()
    left_out = max(0.0, float(scaled.double().square().sum() - values.square().sum()) / len(scaled))

    # mean of each class, and the covariance around it
    _, numbers = np.unique(classes, return_inverse=True)
    number = torch.from_numpy(numbers)
    counts = torch.bincount(number).double()
    means = torch.zeros(len(counts), rank, dtype=torch.float64).index_add_(0, number, values) / counts[:, None]
    around = values - means[number]
    covariance = around.T @ around / len(around)

    # shrink it towards the mean variance of all directions
    mean_variance = (float(covariance.trace()) + left_out) / dim
    floor = max(SHRINKAGE * mean_variance, _SMALLEST)
    covariance = (1 - SHRINKAGE) * covariance + floor * torch.eye(rank, dtype=torch.float64)
    whitening = torch.linalg.cholesky(torch.linalg.inv(covariance))

    # the directions in which the whitened means differ
    whitened = means @ whitening
    centre = whitened.mean(dim=0)
    _, lengths, directions = torch.linalg.svd(whitened - centre, full_matrices=False)
    discriminants = directions[lengths > 1e-9 * lengths.max()].T
    variance_left_out = (1 - SHRINKAGE) * left_out / max(dim - rank, 1) + floor
    return Distance(
        mean=head.mean,
        scale=head.scale,
        components=components,
        whitening=whitening.float(),
        centre=centre.float(),
        discriminants=discriminants.float().contiguous(),
        class_centres=((whitened - centre) @ discriminants).float(),
        remainder=torch.tensor(1 / variance_left_out, dtype=torch.float32),
    )


def _leading_directions(covariance: Tensor, *, rank: int, seed: int) -> Tensor:
    """Return an orthonormal basis of about the `rank` directions with most variance, (dim, rank).

    By subspace iteration, a tenth of the time of all eigenvectors. An inexact basis is as good: whatever it leaves out
    counts with its mean variance.
    """
    start = torch.randn(len(covariance), rank, generator=torch.Generator().manual_seed(seed))
    basis: Tensor = torch.linalg.qr(start)[0]
    for _ in range(_ITERATIONS):
        basis = torch.linalg.qr(covariance @ basis)[0]
    return basis.contiguous()


def _rows(
    features: FeatureArray, labels: NDArray[np.int64], *, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return feature vectors, (rows, dim), and the class of each: of all photos, or of some of every class."""
    rng = np.random.default_rng(seed)
    photos = np.arange(len(labels))
    if len(photos) > PHOTOS:
        # each class's photos in random order; first the first of every class, then the second …
        shuffled = rng.permutation(photos)
        by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
        counts = np.bincount(labels)
        turn = np.arange(len(photos)) - np.repeat(np.cumsum(counts) - counts, counts)
        photos = np.sort(by_class[np.argsort(turn, kind="stable")][:PHOTOS])

    views = min(features.shape[0], max(1, ROWS // len(photos)))
    rows = np.empty((views * len(photos), features.shape[2]), dtype=np.float32)
    for number, view in enumerate(features):
        if number == views:
            break
        rows[number * len(photos) : (number + 1) * len(photos)] = _picked(view, photos)
    return rows, np.tile(labels[photos], views)


def _picked(view: NDArray[np.float32], photos: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return these photos' rows of a view that can only be sliced, a chunk at a time."""
    found = np.empty((len(photos), view.shape[1]), dtype=np.float32)
    for start in range(0, len(view), _CHUNK):
        here = (photos >= start) & (photos < start + _CHUNK)
        if here.any():
            found[here] = view[start : start + _CHUNK][photos[here] - start]
    return found
