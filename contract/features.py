"""What the features job writes, and the keys it is found by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, Literal, TypedDict

from contract.dataset import SplitName
from contract.hyperparameters import Hyperparameters

__all__ = [
    "TRANSFORM_VERSION",
    "FeaturesFile",
    "FeaturesIndex",
    "FeaturesPart",
    "features_key",
    "features_part_folder",
    "transform_key",
]


class FeaturesFile(TypedDict):
    """A file of the features, and its size."""

    name: str
    bytes: int


class FeaturesPart(TypedDict):
    """Which host's share of the photos this is, from 0, and how many there are."""

    number: int
    of: int


class FeaturesIndex(TypedDict):
    """Describes the arrays of a features job, or of one host's part of it, which lie beside it.

    `{split}_features.npy`: (images, views, dim), of `precision`; view 0 is the plain centre crop, and the validation
    and test splits have only that one. `{split}_labels.npy`: int64, (images,). `{split}_positions.npy`: int64,
    (images,), where in the manifest's split each photo stands: readers put the images, of all parts, in that order.
    `{split}_photos.jsonl`: path and ETag of each, a JSON list a line.
    """

    key: str
    """`features_key` of the run: the same key, the same features."""
    backbone: str
    image_size: int
    dim: int
    levels: list[int]
    """Sizes of the parts of a feature vector, in order, one a depth of the backbone; their sum is `dim`."""
    classes: list[str]
    counts: dict[SplitName, int]
    views: dict[SplitName, int]
    broken: list[str]
    """Paths of the images that could not be decoded and were left out."""
    weights: str
    """SHA-256 of the backbone's weights, so that training and features cannot disagree."""
    precision: Literal["float32", "bfloat16"]
    """Of the arrays; bfloat16, the upper half of float32, is kept as uint16, which numpy knows."""
    seed: int
    flip: bool
    transform: int
    """`TRANSFORM_VERSION`"""
    part: FeaturesPart
    files: list[FeaturesFile]


TRANSFORM_VERSION: Final = 2
"""Raise when decoding, cropping, augmentation, the backbone's levels or the arrays' layout change: older features are
then not reused."""


def features_part_folder(*, number: int, of: int) -> str:
    """Folder, below the features', of one host's part: hosts upload to the same place. Empty where there is one."""
    return f"part-{number}-of-{of}" if of > 1 else ""


def transform_key(*, hyperparameters: Hyperparameters, weights: str) -> str:
    """Name of what makes a photo's features, whatever the photos: 32 hexadecimal digits.

    Features of the same transform key can be extended by photos they lack. `weights` says where the backbone's weights
    come from (`hub`, or the S3 URI and ETag of a file).
    """
    parts = {
        "backbone": hyperparameters.backbone,
        "image_size": hyperparameters.image_size,
        "views": hyperparameters.views,
        "flip": hyperparameters.flip,
        "seed": hyperparameters.seed,
        "weights": weights,
        "transform": TRANSFORM_VERSION,
    }
    return _digest(parts)


def features_key(*, dataset_fingerprint: str, hyperparameters: Hyperparameters, weights: str) -> str:
    """Name of the features of this data under this backbone: 32 hexadecimal digits."""
    transform = transform_key(hyperparameters=hyperparameters, weights=weights)
    return _digest({"dataset": dataset_fingerprint, "transform_key": transform})


def _digest(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
