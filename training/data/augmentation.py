"""What is done to training photos beyond cropping and mirroring: RandAugment on each, mixup or CutMix of two."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

__all__ = ["Mix", "draw_mix", "randaugment"]


def randaugment(images: Tensor, *, magnitude: int) -> Tensor:
    """RandAugment (Cubuk et al., 2020) with two operations on each image: uint8, (N, S, S, 3).

    Draws from torch's generator.
    """
    change = v2.RandAugment(num_ops=2, magnitude=magnitude, fill=128)
    return torch.stack([change(image.permute(2, 0, 1)).permute(1, 2, 0) for image in images])


@dataclass(frozen=True)
class Mix:
    """Which image of a batch each one is mixed with, and how; made for a whole batch, applied to parts of it."""

    partner: Tensor
    """int64, (N,)"""
    share: float
    """Weight of the image's own label, 0 to 1."""
    box: tuple[int, int, int, int] | None
    """CutMix: top, bottom, left, right of what the partner gives; None for mixup."""

    def images(self, images: Tensor, part: Tensor) -> Tensor:
        """The mixed images of a part of the batch, (M, S, S, 3): uint8 by CutMix, float32 of 0 to 255 by mixup."""
        own, other = images[part], images[self.partner[part]]
        if self.box is None:
            return torch.lerp(other.float(), own.float(), self.share)
        top, bottom, left, right = self.box
        own[:, top:bottom, left:right] = other[:, top:bottom, left:right]
        return own

    def losses(self, logits: Tensor, labels: Tensor, part: Tensor, *, label_smoothing: float) -> Tensor:
        """Cross-entropy of each image of the part against both labels: (M,)."""
        own, other = (
            functional.cross_entropy(logits, targets, reduction="none", label_smoothing=label_smoothing)
            for targets in (labels[part], labels[self.partner[part]])
        )
        return self.share * own + (1 - self.share) * other


def draw_mix(images: Tensor, *, mixup: float, cutmix: float, chance: np.random.Generator) -> Mix | None:
    """Mixup (Zhang et al., 2018) or CutMix (Yun et al., 2019) for a batch; one of them by chance where both are on.

    `mixup` and `cutmix` are the alpha of their Beta distribution, 0 for off.
    """
    if not mixup and not cutmix:
        return None
    cut = bool(cutmix) and (not mixup or chance.random() < 0.5)
    alpha = cutmix if cut else mixup
    share = float(chance.beta(alpha, alpha))
    partner = torch.from_numpy(chance.permutation(len(images))).to(images.device)
    if not cut:
        return Mix(partner=partner, share=share, box=None)
    side = images.shape[1]
    half = side * math.sqrt(1 - share) / 2
    row, column = chance.uniform(0, side, size=2)
    top, left = max(round(row - half), 0), max(round(column - half), 0)
    bottom, right = min(round(row + half), side), min(round(column + half), side)
    # The box may have been cut off at the border: the labels' share is what is really seen.
    seen = 1 - (bottom - top) * (right - left) / side**2
    return Mix(partner=partner, share=seen, box=(top, bottom, left, right))
