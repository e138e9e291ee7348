"""The features job's output: what decides it, its index, and the keys it is found by."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict

from contract.dataset import SPLITS, SplitName
from contract.hyperparameters import DECLARED, Hyperparameters
from contract.model import Interpolation

__all__ = [
    "FEATURES_VERSION",
    "FEATURE_HYPERPARAMETERS",
    "FEATURE_SPEC_FIELDS",
    "FeaturePrecision",
    "FeatureSpec",
    "FeaturesFile",
    "FeaturesIndex",
    "FeaturesPart",
    "backbone_folder",
    "feature_spec",
    "feature_spec_key",
    "features_key",
    "features_part_folder",
    "new_features_index",
]


FeaturePrecision = Literal["float32", "float16", "bfloat16"]


class FeaturesFile(TypedDict):
    """A file of the features, and its size."""

    name: str
    bytes: int


class FeaturesPart(TypedDict):
    """Which host's share of the photos this is, from 0, and how many there are."""

    number: int
    of: int


class FeatureSpec(TypedDict):
    """Everything that decides a photo's features: features of the same specification can be joined photo by photo.

    Declared here and nowhere else, except for augmentations, which say so of themselves in `Hyperparameters`. A
    hyperparameter named here is part of `feature_spec_key`, every field is written into the index, and features of an
    earlier run are taken over only where all fields are the same.
    """

    backbone: str
    weights: str
    """SHA-256 of the backbone's weights, so that training and features cannot disagree."""
    image_size: int
    resize: int
    """Shorter side before the centre crop of the plain view, in pixels."""
    interpolation: Interpolation
    """How photos are resized, in every view."""
    levels: list[int]
    """Sizes of the parts of a feature vector, in order, one a depth of the backbone; their sum is `dim`."""
    dim: int
    views: dict[SplitName, int]
    seed: int
    augmentation: dict[str, bool | int | float]
    """The hyperparameters that are declared with `augments`, by name."""
    precision: FeaturePrecision
    """Of the arrays; bfloat16, the upper half of float32, is kept as uint16, which numpy knows."""
    version: int
    """`FEATURES_VERSION`"""


class FeaturesIndex(FeatureSpec):
    """Describes the arrays of a features job, or of one host's part of it, which lie beside it.

    `{split}_features.npy`: (images, views, dim), of `precision`; view 0 is the plain centre crop, and the validation
    and test splits have only that one. `{split}_labels.npy`: int64, (images,). `{split}_positions.npy`: int64,
    (images,), where in the manifest's split each photo stands: readers put the images, of all parts, in that order.
    `{split}_photos.jsonl`: path and ETag of each, a JSON list a line.
    """

    key: str
    """`features_key` of the run: the same key, the same features."""
    classes: list[str]
    counts: dict[SplitName, int]
    broken: list[str]
    """Paths of the images that could not be decoded and were left out."""
    part: FeaturesPart
    files: list[FeaturesFile]


FEATURES_VERSION: Final = 4
"""Raise when decoding, cropping, augmentation, the backbone's levels or the arrays' layout change: older features are
then not reused."""

FEATURE_SPEC_FIELDS: Final = tuple(FeatureSpec.__annotations__)

_AUGMENTATION: Final = tuple(name for name, field in DECLARED.items() if field.metadata["augments"])

FEATURE_HYPERPARAMETERS: Final = (*(name for name in FEATURE_SPEC_FIELDS if name in DECLARED), *_AUGMENTATION)
"""The hyperparameters that decide a photo's features."""


def features_part_folder(*, number: int, of: int) -> str:
    """Return the folder, below the features', of one host's part; empty where there is one host only.

    All hosts of a job upload to the same place.
    """
    return f"part-{number}-of-{of}" if of > 1 else ""


def backbone_folder(backbone: str) -> str:
    """Return the folder, below the features', of one backbone's, where the search chooses among several.

    It is part of S3 keys and of paths, and a backbone's name may hold a slash.
    """
    return f"backbone-{re.sub(r'[^A-Za-z0-9._-]', '--', backbone)}"


def feature_spec(
    hyperparameters: Hyperparameters,
    *,
    weights: str,
    resize: int,
    interpolation: Interpolation,
    levels: list[int],
    precision: FeaturePrecision,
) -> FeatureSpec:
    """Return the specification of the features that these hyperparameters, weights and numbers give.

    `resize` and `interpolation` follow from the backbone, but the library that knows them may change its mind.
    """
    return {
        "backbone": hyperparameters.backbone,
        "weights": weights,
        "image_size": hyperparameters.image_size,
        "resize": resize,
        "interpolation": interpolation,
        "levels": levels,
        "dim": sum(levels),
        "views": {split: 1 + hyperparameters.views if split == "train" else 1 for split in SPLITS},
        "seed": hyperparameters.seed,
        "augmentation": {name: getattr(hyperparameters, name) for name in _AUGMENTATION},
        "precision": precision,
        "version": FEATURES_VERSION,
    }


def new_features_index(
    spec: FeatureSpec, *, key: str, classes: list[str], host: int = 0, hosts: int = 1
) -> FeaturesIndex:
    """Return the index of features that no photo has been added to yet, of one host's part of them."""
    return {
        **spec,
        "key": key,
        "classes": classes,
        "counts": {},
        "broken": [],
        "part": {"number": host, "of": hosts},
        "files": [],
    }


def feature_spec_key(*, hyperparameters: Hyperparameters, weights: str, backbones: Sequence[str] = ()) -> str:
    """Return the name of a specification as it is known before the features job runs: 32 hexadecimal digits.

    Args:
        hyperparameters: Those of the run.
        weights: Where the backbone's weights come from (`hub`, or the S3 URI and ETag of a file).
        backbones: The backbones that the search chooses among, in any order; none: that of the hyperparameters alone.
    """
    chosen = {name: getattr(hyperparameters, name) for name in FEATURE_HYPERPARAMETERS}
    if backbones:
        chosen["backbone"] = sorted(backbones)
    # A backbone named without a tag has other weights, and photos are resized otherwise, where it is to be fine-tuned.
    chosen["mode"] = hyperparameters.mode
    return _digest({**chosen, "weights": weights, "version": FEATURES_VERSION})


def features_key(
    *, dataset_fingerprint: str, hyperparameters: Hyperparameters, weights: str, backbones: Sequence[str] = ()
) -> str:
    """Return the name of the features of this data under this specification: 32 hexadecimal digits."""
    spec = feature_spec_key(hyperparameters=hyperparameters, weights=weights, backbones=backbones)
    return _digest({"dataset": dataset_fingerprint, "spec": spec})


def _digest(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
