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
        logits = self._averaged(image) if self.average_mirrored else self.head(self.backbone(image))
        return torch.softmax(logits / self.temperature, dim=1)

    def _averaged(self, image: Tensor) -> Tensor:
        """Return the mean logits of each photo and its mirror image.

        Of logits and not of probabilities: temperature and calibration then mean the same as without averaging
        (docs/decisions/mirror-averaging.md). Both go through the network in one batch, the mirror image right after its
        photo. The pixels are mirrored as they come, before anything that is quantized.
        """
        pairs = torch.stack([image, image.flip(2)], dim=1).flatten(0, 1)
        logits: Tensor = self.head(self.backbone(pairs))
        return logits.reshape(-1, 2, logits.shape[1]).mean(dim=1)
