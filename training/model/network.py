"""The network that fine-tuning trains: the backbone, in part or whole, and a head that already knows the classes."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from training.model.backbones import Backbone
from training.model.classifier import Classifier
from training.model.head import Head

__all__ = ["Network"]

_AUXILIARY: Final = ("aux1", "aux2", "AuxLogits")
"""Inception's second classifiers, which would have classes of their own to learn."""


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
        """Return the logits of the images."""
        features: Tensor = self.backbone(images)
        # The head's few sums stay in float32: its scores are compared, and its loss is what is minimised.
        with torch.autocast(images.device.type, enabled=False):
            logits: Tensor = self.head(features.float())
        return logits

    def classifier(self) -> Classifier:
        """Return what is served: the same network with the head as one layer, on the CPU."""
        self.requires_grad_(False)
        return Classifier(backbone=self.backbone.cpu(), head=self.head.cpu().folded()).eval()
