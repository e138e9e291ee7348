"""The views of a photo that fine-tuning sees: the plain one, exactly the endpoint's, and random ones, made fast.

Everything is uint8. Random views are cut and resized by torch's vectorised antialiased bilinear filter, which is within
two of 255 levels of Pillow's.
"""

from __future__ import annotations

import math
import random
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training import preprocess
from training.data.jpeg import decode_upright, read_header

__all__ = ["CROP_AREA", "ViewMaker", "random_view"]

CROP_AREA: Final = (0.35, 1.0)
"""Smallest and largest share of a photo's area that a random crop keeps: that of `preprocess.augmented_view`."""

_CROP_RATIO: Final = (3 / 4, 4 / 3)


class ViewMaker:
    """From a photo's bytes to pixels: uint8, (S, S, 3).

    Raises (every method): ImageError, if the bytes are no photo that can be classified.
    """

    def __init__(self, *, image_size: int, flip: bool, crop_area: tuple[float, float] = CROP_AREA):
        self._size, self._flip, self._area = image_size, flip, crop_area
        self._resize = preprocess.resize_for(image_size)
        # A crop's shorter side is at least this share of the photo's, so this many pixels are enough for any crop.
        self._enough = math.ceil(image_size / math.sqrt(crop_area[0] * _CROP_RATIO[0]))

    def plain(self, data: bytes) -> NDArray[np.uint8]:
        """What the endpoint sees of the photo, to the bit."""
        image = preprocess.decode(data, shorter_side=self._resize)
        return preprocess.center_crop(image, image_size=self._size, resize=self._resize)

    def random(self, data: bytes, *, seed: str) -> NDArray[np.uint8]:
        """A random crop, mirrored half the time if `flip`: the same seed, the same view."""
        return self.random_of(self.whole(data), seed=seed)

    def squeezed(self, pixels: Tensor, *, side: int) -> NDArray[np.uint8]:
        """The whole of a decoded photo in a square, for the decoded cache: uint8, (side, side, 3)."""
        return _resized(pixels, size=side).numpy()

    def random_of(self, pixels: Tensor, *, seed: str, sides: tuple[float, float] | None = None) -> NDArray[np.uint8]:
        """The same of a decoded photo; see `random_view`."""
        return random_view(pixels, size=self._size, flip=self._flip, area=self._area, seed=seed, sides=sides)

    def whole(self, data: bytes) -> Tensor:
        """The whole photo, upright: uint8, (H, W, 3).

        Where its shorter side is at least twice what any crop needs, a JPEG is decoded at a half, quarter or eighth
        by leaving out frequencies (DCT scaling), which costs a fraction of decoding and scaling it.
        """
        header = read_header(data)
        if header is not None and min(header.width, header.height) < 2 * self._enough:
            pixels = decode_upright(data, header)
            if pixels is not None:
                return pixels
        # `decode` keeps twice the shorter side it is given.
        image = preprocess.decode(data, shorter_side=-(-self._enough // 2))
        return torch.from_numpy(np.array(image))


def random_view(
    pixels: Tensor,
    *,
    size: int,
    flip: bool,
    area: tuple[float, float],
    seed: str,
    sides: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """A random crop of (H, W, 3) uint8 pixels, mirrored half the time if `flip`: uint8, (size, size, 3).

    The crop of the Inception paper (Szegedy et al., 2015, section 6): a share of the area and an aspect ratio, both
    drawn by chance. `sides` are the width and height of the photo that `pixels` were squeezed from, if they were: the
    crop is then the same part of the photo as without squeezing.
    """
    draw = random.Random(seed)  # noqa: S311 (augmentation, not cryptography)
    height, width, _ = pixels.shape
    photo_width, photo_height = sides or (width, height)
    wanted = photo_width * photo_height * draw.uniform(*area)
    ratio = math.exp(draw.uniform(math.log(_CROP_RATIO[0]), math.log(_CROP_RATIO[1])))
    part_x = min(1.0, math.sqrt(wanted * ratio) / photo_width)
    part_y = min(1.0, math.sqrt(wanted / ratio) / photo_height)
    across, down = max(1, round(part_x * width)), max(1, round(part_y * height))
    left, top = round(draw.random() * (width - across)), round(draw.random() * (height - down))
    mirrored = flip and draw.random() < 0.5
    view = _resized(pixels[top : top + down, left : left + across], size=size)
    return (view.flip(1) if mirrored else view).numpy()


def _resized(pixels: Tensor, *, size: int) -> Tensor:
    """(H, W, 3) -> (size, size, 3)."""
    # In this order of calls the tensors are channels_last in torch's eyes, which makes the resizing twice as fast.
    images = pixels.unsqueeze(0).permute(0, 3, 1, 2)
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
