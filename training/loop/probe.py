"""The head that fine-tuning begins with: a linear probe of the backbone as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

import contract
from training.embedding.store import SplitFeatures
from training.loop.head_loop import fit
from training.model.head import Head, level_factors, new_head

__all__ = ["probed_head"]

_PROBE: Final = {"learning_rate": 0.01, "batch_size": 64}
"""A head on features is settled with these values, whatever the fine-tuning's own."""

_EPOCHS: Final = 20
_PHOTOS: Final = 1_000_000
"""Photos times epochs, after which a linear layer has learnt what it can: some minutes on one core."""

_LARGEST_SCALE: Final = 2.0
"""Scale of a feature relative to its level's median."""

_MIDDLE_WEIGHT: Final = 0.5
"""How much the levels before the last count beside it: the best, or nearly, in docs/decisions/head.md."""


def probed_head(
    train: SplitFeatures, *, levels: Sequence[int], classes: int, hyperparameters: contract.Hyperparameters
) -> Head:
    """Train a head on the features of the backbone as it is, before anything of it is trained.

    From an untrained head, the first steps would distort good features to fit random logits (Kumar et al., 2022:
    "Fine-tuning can distort pretrained features"). The features are those of the features job, which every trial and
    the last training read instead of embedding the photos anew; they stay on disk, so that the memory that this takes
    does not grow with the photos.

    Args:
        train: features of the training photos, as they are and in augmented views.
        levels: sizes of the parts of a feature vector.
        classes: number of classes.
        hyperparameters: the fine-tuning's.
    """
    # an untrained head, its scales limited and its levels weighted
    head = new_head(train.features, levels=list(levels), classes=classes)
    for scales in torch.split(head.scale, list(levels)):
        # A feature that hardly varies over these photos is blown up by its standardisation; it would drown all others
        # as soon as batch norm, in training, shifts it by a little.
        scales.clamp_(max=_LARGEST_SCALE * float(scales.median()))
    head.scale *= level_factors(levels, weights=[_MIDDLE_WEIGHT] * (len(levels) - 1) + [1.0])

    values = contract.Hyperparameters(
        seed=hyperparameters.seed,
        weight_decay=hyperparameters.weight_decay,
        class_weights=hyperparameters.class_weights,
        epochs=min(_EPOCHS, max(1, _PHOTOS // len(train.labels))),
        **_PROBE,  # type: ignore[arg-type]
    )
    # nothing is chosen by validation, so one photo is enough for it
    one = SplitFeatures(features=train.features[0][:1][None], labels=train.labels[:1], paths=train.paths[:1])
    for _ in fit(head, train=train, validation=one, hyperparameters=values):
        pass
    return head
