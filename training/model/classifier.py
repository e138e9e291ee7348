"""The classifier that is served: backbone, head and calibrated softmax in one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.model.backbones import Backbone

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """From pixels, uint8 (N, S, S, 3), to probabilities, float32 (N, classes)."""

    def __init__(self, *, backbone: Backbone, head: nn.Module, temperature: float = 1.0):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.temperature = temperature

    def forward(self, image: Tensor) -> Tensor:
        """Return the classes' probabilities; dividing by the temperature calibrates them (see `calibration`)."""
        return torch.softmax(self.head(self.backbone(image)) / self.temperature, dim=1)
