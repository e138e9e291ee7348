"""The head that fine-tuning begins with: a linear probe of the backbone as it is."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

import contract
from training.data.loader import PhotoLoader
from training.embedding.store import SplitFeatures
from training.loop.head_loop import fit
from training.loop.prediction import predict
from training.model.backbones import Backbone
from training.model.head import Head, new_head
from training.runtime.distributed import Group

__all__ = ["probed_head"]

_PROBE: Final = {"epochs": 20, "learning_rate": 0.01, "batch_size": 64}
"""A head on features is settled with these values, whatever the fine-tuning's own."""

_LARGEST_SCALE: Final = 2.0
"""Scale of a feature relative to its level's median."""


def probed_head(
    backbone: Backbone,
    *,
    plain: PhotoLoader,
    augmented: PhotoLoader,
    classes: int,
    group: Group,
    precision: torch.dtype | None,
    hyperparameters: contract.Hyperparameters,
) -> Head:
    """Train a head on the features of the backbone as it is, before anything of it is trained.

    From an untrained head, the first steps would distort good features to fit random logits (Kumar et al., 2022:
    "Fine-tuning can distort pretrained features"). Like a head on features, it sees every photo as it is and in
    `views` augmented versions.
    """
    # embed the photos with all processes, in every view: (views, images, dim)
    views = [predict(backbone, plain, group=group, precision=precision)]
    for view in range(hyperparameters.views):
        augmented.set_epoch(view)
        views.append(predict(backbone, augmented, group=group, precision=precision))
    features = np.stack([view.logits for view in views])
    train = SplitFeatures(features=features, labels=views[0].labels, paths=views[0].paths)

    # an untrained head, its scales limited
    levels = backbone.level_sizes(image_size=hyperparameters.image_size)
    head = new_head(train.features, levels=levels, classes=classes)
    for scales in torch.split(head.scale, levels):
        # A feature that hardly varies over these photos is blown up by its standardisation; it would drown all others
        # as soon as batch norm, in training, shifts it by a little.
        scales.clamp_(max=_LARGEST_SCALE * float(scales.median()))

    values = contract.Hyperparameters(
        seed=hyperparameters.seed,
        weight_decay=hyperparameters.weight_decay,
        class_weights=hyperparameters.class_weights,
        **_PROBE,  # type: ignore[arg-type]
    )
    for _ in fit(head, train=train, validation=train, hyperparameters=values):
        pass
    return head
