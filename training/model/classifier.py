"""The classifier that is served: backbone, head and calibrated softmax in one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.model.backbones import Backbone

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """From pixels, uint8 (N, S, S, 3), to probabilities, float32 (N, classes)."""

    def __init__(
        self, *, backbone: Backbone, head: nn.Module, temperature: float = 1.0, average_mirrored: bool = False
    ):
        """Compose the parts.

        Args:
            backbone: from pixels to features, (N, dim).
            head: from features to logits, (N, classes).
            temperature: divisor of the logits that calibrates the probabilities (see `calibration`).
            average_mirrored: whether the logits are averaged over each photo and its mirror image.
        """
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.temperature = temperature
        self.average_mirrored = average_mirrored

    def forward(self, image: Tensor) -> Tensor:
        """Return the classes' probabilities."""
        return torch.softmax(self.features_and_logits(image)[1], dim=1)

    def features_and_logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return features, (N, dim), and calibrated logits, (N, classes); where it averages, the mean of both images'.

        Of logits and not of probabilities is the mean taken: temperature and calibration then mean the same as without
        averaging (docs/decisions/mirror-averaging.md). Both images go through the network in one batch, the mirror
        image right after its photo. The pixels are mirrored as they come, before anything that is quantized.
        """
        if self.average_mirrored:
            pairs = torch.stack([image, image.flip(2)], dim=1).flatten(0, 1)
            of_both = self.backbone(pairs)
            features, logits = _mean_of_pairs(of_both), _mean_of_pairs(self.head(of_both))
        else:
            features = self.backbone(image)
            logits = self.head(features)
        return features, logits / self.temperature


def _mean_of_pairs(values: Tensor) -> Tensor:
    """Return the mean of each two rows that follow each other: (2 N, size) -> (N, size)."""
    return values.reshape(-1, 2, values.shape[1]).mean(dim=1)
