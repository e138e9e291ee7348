"""RandAugment of one photo, drawn from the photo's own seed, so that the loader's threads can do it side by side.

The operations and their ranges are those of torchvision's `v2.RandAugment` (Cubuk et al., 2020). That class draws from
torch's global generator, whose numbers would depend on which thread comes first.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

__all__ = ["OPERATIONS", "randaugment"]

_OPERATIONS_A_PHOTO: Final = 2
_STRONGEST: Final = 30
_FILL: Final = [128.0, 128.0, 128.0]
"""Grey where an operation moves the picture's border inside."""


def randaugment(pixels: Tensor, *, magnitude: int, seed: str) -> Tensor:
    """Return uint8 pixels (S, S, 3) after two operations; the same seed, the same operations.

    Args:
        pixels: uint8, (S, S, 3); they are not changed.
        magnitude: strength of the operations, from 0 to 30.
        seed: names the view.
    """
    rng = random.Random(f"{seed}/randaugment")  # noqa: S311 (augmentation, not cryptography)
    image = pixels.permute(2, 0, 1)
    for name in rng.choices(list(OPERATIONS), k=_OPERATIONS_A_PHOTO):
        strength = magnitude / _STRONGEST
        image = OPERATIONS[name](image, strength if rng.random() < 0.5 else -strength)
    return image.permute(1, 2, 0)


def _affine(image: Tensor, *, shear: list[float] | None = None, translate: list[int] | None = None) -> Tensor:
    moved: Tensor = functional.affine(
        image,
        angle=0.0,
        translate=translate or [0, 0],
        scale=1.0,
        shear=shear or [0.0, 0.0],
        interpolation=InterpolationMode.NEAREST,
        fill=_FILL,
        center=[0, 0] if shear else None,
    )
    return moved


def _degrees(shear: float) -> float:
    return float(torch.rad2deg(torch.atan(torch.tensor(shear))))


OPERATIONS: Final[dict[str, Callable[[Tensor, float], Tensor]]] = {
    "identity": lambda image, _: image,
    "shear_x": lambda image, strength: _affine(image, shear=[_degrees(0.3 * strength), 0.0]),
    "shear_y": lambda image, strength: _affine(image, shear=[0.0, _degrees(0.3 * strength)]),
    "translate_x": lambda image, strength: _affine(image, translate=[int(150 / 331 * image.shape[2] * strength), 0]),
    "translate_y": lambda image, strength: _affine(image, translate=[0, int(150 / 331 * image.shape[1] * strength)]),
    "rotate": lambda image, strength: functional.rotate(
        image, 30 * strength, interpolation=InterpolationMode.NEAREST, fill=_FILL
    ),
    "brightness": lambda image, strength: functional.adjust_brightness(image, 1 + 0.9 * strength),
    "color": lambda image, strength: functional.adjust_saturation(image, 1 + 0.9 * strength),
    "contrast": lambda image, strength: functional.adjust_contrast(image, 1 + 0.9 * strength),
    "sharpness": lambda image, strength: functional.adjust_sharpness(image, 1 + 0.9 * strength),
    "posterize": lambda image, strength: functional.posterize(image, 8 - round(4 * abs(strength))),
    "solarize": lambda image, strength: functional.solarize(image, 255 * (1 - abs(strength))),
    "autocontrast": lambda image, _: functional.autocontrast(image),
    "equalize": lambda image, _: functional.equalize(image),
}
"""By name: from an image, uint8 (3, S, S), and a strength from -1 to 1 to the changed image."""
