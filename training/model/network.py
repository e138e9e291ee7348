"""The network that fine-tuning trains: the backbone, in part or whole, and a head that already knows the classes."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import contract
from training.data.loader import PhotoLoader, on_device
from training.embedding.store import SplitFeatures
from training.export.onnx_export import Classifier
from training.loop.head_loop import Head, fit, new_head
from training.loop.prediction import readable
from training.model.backbones import Backbone
from training.model.compute import autocast
from training.runtime.distributed import Group

__all__ = ["Network", "probed_head"]

_AUXILIARY: Final = ("aux1", "aux2", "AuxLogits")
"""Inception's second classifiers, which would have classes of their own to learn."""

_PROBE: Final = {"epochs": 20, "learning_rate": 0.01, "batch_size": 64}
"""A head on features is settled with these values, whatever the fine-tuning's own."""

_LARGEST_SCALE: Final = 2.0
"""Scale of a feature relative to its level's median."""


class Network(nn.Module):
    """uint8 or float pixels of 0 to 255, (N, S, S, 3) -> logits, float32 (N, classes)."""

    def __init__(self, *, backbone: Backbone, head: Head):
        super().__init__()
        for name in _AUXILIARY:
            if getattr(backbone.network, name, None) is not None:
                setattr(backbone.network, name, None)
        if hasattr(backbone.network, "aux_logits"):
            backbone.network.aux_logits = False  # type: ignore[assignment]  # plain outputs in training mode
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the images."""
        features: Tensor = self.backbone(images)
        # The head's few sums stay in float32: its scores are compared, and its loss is what is minimised.
        with torch.autocast(images.device.type, enabled=False):
            logits: Tensor = self.head(features.float())
        return logits

    def classifier(self) -> Classifier:
        """What is served: the same network with the head as one layer, on the CPU."""
        self.requires_grad_(False)
        return Classifier(backbone=self.backbone.cpu(), head=self.head.cpu().folded()).eval()


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
    """A head trained on the features of the backbone as it is, before anything of it is trained.

    From an untrained head, the first steps would pull good features about to please random scores (Kumar et al.,
    2022: "Fine-tuning can distort pretrained features"). Like a head on features, it sees every photo as it is and in
    `views` augmented versions.
    """
    views = [_embedded(backbone, photos=plain, group=group, precision=precision)]
    for view in range(hyperparameters.views):
        augmented.set_epoch(view)
        views.append(_embedded(backbone, photos=augmented, group=group, precision=precision))
    train = SplitFeatures(
        features=np.concatenate([view.features for view in views]), labels=views[0].labels, paths=views[0].paths
    )
    with torch.inference_mode():
        blank = torch.zeros(1, hyperparameters.image_size, hyperparameters.image_size, 3, dtype=torch.uint8)
        levels = [level.shape[1] for level in backbone.levels(blank.to(group.device))]
    head = new_head(train, levels=levels, classes=classes)
    for scales in torch.split(head.scale, levels):
        # A feature that hardly varies over these photos is blown up by its standardisation; it would drown all others
        # as soon as batch norm, in training, shifts it by a little.
        scales.clamp_(max=_LARGEST_SCALE * float(scales.median()))
    values = contract.Hyperparameters(
        seed=hyperparameters.seed,
        weight_decay=hyperparameters.weight_decay,
        **_PROBE,  # type: ignore[arg-type]
    )
    for _ in fit(head, train=train, validation=train, hyperparameters=values):
        pass
    return head


def _embedded(backbone: Backbone, *, photos: PhotoLoader, group: Group, precision: torch.dtype | None) -> SplitFeatures:
    """Features of one view, (1, images, dim), embedded by all processes together, in the records' order."""
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    for batch in readable(on_device(photos, group.device)):
        with torch.inference_mode(), autocast(group.device, precision):
            features = backbone(batch.images).float().cpu().numpy()
        parts.append((batch.positions.cpu().numpy(), batch.labels.cpu().numpy(), features))
    every = [part for of_process in group.gather(parts) for part in of_process]
    positions, labels, features = (np.concatenate([part[i] for part in every]) for i in range(3))
    order = np.argsort(positions)
    return SplitFeatures(
        features=features[order][np.newaxis],
        labels=labels[order],
        paths=[photos.records[position]["path"] for position in positions[order]],
    )
