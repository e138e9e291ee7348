"""What the exported file computes: a classifier, and how far its photos are from those of the training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.model.classifier import Classifier
from training.model.distance import Distance

__all__ = ["ServedModel"]


class ServedModel(nn.Module):
    """From pixels, uint8 (N, S, S, 3), to probabilities, float32 (N, classes), and distances, float32 (N,)."""

    def __init__(self, *, classifier: Classifier, distance: Distance):
        super().__init__()
        self.classifier = classifier
        self.distance = distance

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and distances: both by the same features, so that the network runs once."""
        features, logits = self.classifier.features_and_logits(image)
        probabilities = torch.softmax(logits, dim=1)
        return probabilities, self.distance(features, logits, probabilities)
