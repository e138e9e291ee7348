"""Every augmentation: random views of one photo, and what is done to a whole batch of them.

The plain view is the endpoint's, to the bit (`preprocess.center_crop`). Random views are uint8 and are cut and resized
in two ways: by Pillow for the features job, which decodes a photo once for all of its views, and for fine-tuning by
torch's vectorised antialiased filters, which are within two of 255 levels of Pillow's. Both draw their crop from the
same `RandomCrop`.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

import contract
from training.data.jpeg import decode_upright
from training.data.randaugment import randaugment
from training.preprocess import Preprocessing, decode, open_image, plain_view, resize_box

__all__ = [
    "CROP_AREA",
    "BatchTransforms",
    "Mix",
    "RandomCrop",
    "TransformedBatch",
    "ViewMaker",
    "augmented_view",
    "draw_mix",
    "random_view",
]

CROP_AREA: Final = (0.35, 1.0)
"""Smallest and largest share of a photo's area that a random crop keeps. The Inception paper begins at 0.08; a frozen
backbone cannot learn to make up for an object that was cut away."""

_CROP_RATIO: Final = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class RandomCrop:
    """What is drawn for one random view of a photo: the crop of the Inception paper, and whether it is mirrored.

    The crop is a share of the area and an aspect ratio, both drawn at random (Szegedy et al., 2015, section 6).
    """

    width: float
    """In the photo's pixels; so is `height`."""
    height: float
    left: float
    """Share, from 0 to 1, of the width beside the crop that lies left of it; `top` likewise."""
    top: float
    mirrored: bool

    @classmethod
    def draw(cls, seed: str, *, width: float, height: float, area: tuple[float, float], flip: bool) -> RandomCrop:
        """Draw from the seed alone: whatever the machine, the number of workers or the order of the photos.

        Args:
            seed: names the view; the same seed, the same crop.
            width: the photo's, in pixels.
            height: the photo's, in pixels.
            area: smallest and largest share of the photo's area that the crop keeps.
            flip: whether half of the views are mirrored.
        """
        rng = random.Random(seed)  # noqa: S311 (augmentation, not cryptography)
        kept = width * height * rng.uniform(*area)
        ratio = math.exp(rng.uniform(math.log(_CROP_RATIO[0]), math.log(_CROP_RATIO[1])))
        return cls(
            width=min(width, math.sqrt(kept * ratio)),
            height=min(height, math.sqrt(kept / ratio)),
            left=rng.random(),
            top=rng.random(),
            mirrored=flip and rng.random() < 0.5,
        )


def augmented_view(image: Image.Image, preprocessing: Preprocessing, *, flip: bool, seed: str) -> NDArray[np.uint8]:
    """Return a random view of a decoded photo, made by Pillow: uint8, (image_size, image_size, 3)."""
    crop = RandomCrop.draw(seed, width=image.width, height=image.height, area=CROP_AREA, flip=flip)
    left, top = (image.width - crop.width) * crop.left, (image.height - crop.height) * crop.top
    pixels = resize_box(image, (left, top, left + crop.width, top + crop.height), preprocessing)
    return np.ascontiguousarray(pixels[:, ::-1]) if crop.mirrored else pixels


def random_view(
    pixels: Tensor,
    preprocessing: Preprocessing,
    *,
    flip: bool,
    area: tuple[float, float],
    seed: str,
    sides: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Return a random view of uint8 pixels (H, W, 3), made by torch: uint8, (image_size, image_size, 3).

    `sides` are the width and height of the photo that `pixels` were squeezed from, if they were: the crop is then the
    same part of the photo as without squeezing.
    """
    height, width, _ = pixels.shape
    photo_width, photo_height = sides or (width, height)
    crop = RandomCrop.draw(seed, width=photo_width, height=photo_height, area=area, flip=flip)

    # from the photo's pixels to those given, of which whole ones are taken
    across = max(1, round(crop.width / photo_width * width))
    down = max(1, round(crop.height / photo_height * height))
    left, top = round(crop.left * (width - across)), round(crop.top * (height - down))
    part = pixels[top : top + down, left : left + across]
    view = _resized(part, size=preprocessing.image_size, interpolation=preprocessing.interpolation)
    return (view.flip(1) if crop.mirrored else view).numpy()


class ViewMaker:
    """Makes fine-tuning's views: from a photo's bytes to pixels, uint8, (S, S, 3).

    Raises (every method that decodes): ImageError, if the bytes are no photo that can be classified.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        *,
        flip: bool,
        crop_area: tuple[float, float] = CROP_AREA,
        magnitude: int = 0,
    ):
        """Set up how photos are seen.

        Args:
            preprocessing: what the backbone's weights expect.
            flip: whether half of the random views are mirrored.
            crop_area: smallest and largest share of a photo's area that a random crop keeps.
            magnitude: RandAugment's; 0: none.
        """
        self._preprocessing, self._flip, self._area, self._magnitude = preprocessing, flip, crop_area, magnitude
        # A crop's shorter side is at least this share of the photo's, so this many pixels are enough for any crop.
        self._enough = math.ceil(preprocessing.image_size / math.sqrt(crop_area[0] * _CROP_RATIO[0]))
        self.cached_side = math.ceil(preprocessing.image_size / math.sqrt(crop_area[0]))
        """Side of the square in which the decoded cache keeps a photo: the smallest crop then has as many pixels, in
        width and height together, as the view that is made of it. From 256 pixels for views of 224, as ImageNet's
        photos are commonly kept, four crops of five would be enlarged."""

    def plain(self, data: bytes) -> NDArray[np.uint8]:
        """Return what the endpoint sees of the photo, to the bit."""
        return plain_view(data, self._preprocessing)

    def random(self, data: bytes, *, seed: str) -> NDArray[np.uint8]:
        """Return a random crop, mirrored half the time if `flip`, after RandAugment: the same seed, the same view."""
        return self.random_of(self.whole(data), seed=seed)

    def squeezed(self, pixels: Tensor, *, side: int) -> NDArray[np.uint8]:
        """Return the whole of a decoded photo in a square, for the decoded cache: uint8, (side, side, 3)."""
        return _resized(pixels, size=side, interpolation=self._preprocessing.interpolation).numpy()

    def random_of(self, pixels: Tensor, *, seed: str, sides: tuple[float, float] | None = None) -> NDArray[np.uint8]:
        """Return a random view of a decoded photo; see `random_view` and `randaugment`."""
        view = random_view(pixels, self._preprocessing, flip=self._flip, area=self._area, seed=seed, sides=sides)
        if not self._magnitude:
            return view
        return randaugment(torch.from_numpy(view), magnitude=self._magnitude, seed=seed).numpy()

    def whole(self, data: bytes) -> Tensor:
        """Return the whole photo, upright: uint8, (H, W, 3).

        Where its shorter side is at least twice what any crop needs, a JPEG is decoded at a half, quarter or eighth
        by leaving out frequencies (DCT scaling), which costs a fraction of decoding and scaling it.
        """
        with open_image(data) as header:
            pixels = decode_upright(data, header) if min(header.size) < 2 * self._enough else None
        if pixels is not None:
            return pixels
        # `decode` keeps twice the shorter side it is given.
        image = decode(data, shorter_side=-(-self._enough // 2))
        return torch.from_numpy(np.array(image))


class BatchTransforms:
    """Changes a training batch as the hyperparameters ask: mixup or CutMix of two photos."""

    def __init__(self, hyperparameters: contract.Hyperparameters):
        self._mixup, self._cutmix = hyperparameters.mixup, hyperparameters.cutmix

    def __call__(self, images: Tensor, labels: Tensor, *, rng: np.random.Generator) -> TransformedBatch:
        """Draw from `rng`; images uint8, (N, S, S, 3), and labels (N,)."""
        mix = draw_mix(images, mixup=self._mixup, cutmix=self._cutmix, rng=rng)
        return TransformedBatch(images=images, labels=labels, mix=mix)


@dataclass(frozen=True)
class TransformedBatch:
    """A batch as the network is to see it, in parts: positions (M,) in the batch."""

    images: Tensor
    labels: Tensor
    mix: Mix | None

    def part(self, part: Tensor) -> Tensor:
        """Return the images of a part, (M, S, S, 3): uint8, or float32 of 0 to 255 by mixup."""
        return self.mix.images(self.images, part) if self.mix else self.images[part]

    def losses(
        self, logits: Tensor, part: Tensor, *, label_smoothing: float, class_weights: Tensor | None = None
    ) -> Tensor:
        """Return the cross-entropy of each image of the part, (M,), from their logits (M, classes)."""
        if self.mix:
            return self.mix.losses(
                logits, self.labels, part, label_smoothing=label_smoothing, class_weights=class_weights
            )
        return functional.cross_entropy(
            logits, self.labels[part], weight=class_weights, reduction="none", label_smoothing=label_smoothing
        )


@dataclass(frozen=True)
class Mix:
    """Which image of a batch each one is mixed with, and how; drawn for a whole batch, applied to parts of it.

    torchvision's v2.MixUp and v2.CutMix are not used for what they cost in memory: mixup refuses uint8 and mixes the
    whole batch in float. Of 512 photos of 224 pixels, that took 889 MB beside the batch and 6.1 s on one core; parts
    of 32, as here, took 87 MB and 0.6 s (CutMix: 154 MB against 17 MB). They also pair each photo with its neighbour
    and leave the loss to a matrix of label shares (N, classes).
    """

    partner: Tensor
    """int64, (N,)"""
    share: float
    """Weight of the image's own label, 0 to 1."""
    box: tuple[int, int, int, int] | None
    """CutMix: top, bottom, left, right of what the partner gives; None for mixup."""

    def images(self, images: Tensor, part: Tensor) -> Tensor:
        """Return the mixed images of a part, (M, S, S, 3): uint8 by CutMix, float32 of 0 to 255 by mixup."""
        own, other = images[part], images[self.partner[part]]
        if self.box is None:
            return torch.lerp(other.float(), own.float(), self.share)
        top, bottom, left, right = self.box
        own[:, top:bottom, left:right] = other[:, top:bottom, left:right]
        return own

    def losses(
        self,
        logits: Tensor,
        labels: Tensor,
        part: Tensor,
        *,
        label_smoothing: float,
        class_weights: Tensor | None = None,
    ) -> Tensor:
        """Return the cross-entropy of each image of the part against both labels, (M,)."""
        own, other = (
            functional.cross_entropy(
                logits, targets, weight=class_weights, reduction="none", label_smoothing=label_smoothing
            )
            for targets in (labels[part], labels[self.partner[part]])
        )
        return self.share * own + (1 - self.share) * other


def draw_mix(images: Tensor, *, mixup: float, cutmix: float, rng: np.random.Generator) -> Mix | None:
    """Draw mixup (Zhang et al., 2018) or CutMix (Yun et al., 2019) for a batch; one of them where both are on.

    `mixup` and `cutmix` are the alpha of their Beta distribution, 0 for off. Returns None where both are off.
    """
    if not mixup and not cutmix:
        return None
    cut = bool(cutmix) and (not mixup or rng.random() < 0.5)
    alpha = cutmix if cut else mixup
    share = float(rng.beta(alpha, alpha))
    partner = torch.from_numpy(rng.permutation(len(images))).to(images.device, non_blocking=True)
    if not cut:
        return Mix(partner=partner, share=share, box=None)

    side = images.shape[1]
    half = side * math.sqrt(1 - share) / 2
    row, column = rng.uniform(0, side, size=2)
    top, left = max(round(row - half), 0), max(round(column - half), 0)
    bottom, right = min(round(row + half), side), min(round(column + half), side)
    # The box may have been cut off at the border: the labels' share is what is really seen.
    seen = 1 - (bottom - top) * (right - left) / side**2
    return Mix(partner=partner, share=seen, box=(top, bottom, left, right))


def _resized(pixels: Tensor, *, size: int, interpolation: contract.Interpolation) -> Tensor:
    """Return uint8 pixels (H, W, 3) as (size, size, 3); what bicubic overshoots is clamped to 0 to 255."""
    # In this order of calls the tensors are channels_last in torch's eyes, which makes the resizing twice as fast.
    images = pixels.unsqueeze(0).permute(0, 3, 1, 2)
    return functional.interpolate(images, size=(size, size), mode=interpolation, antialias=True)[0].permute(1, 2, 0)
