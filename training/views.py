"""The views of a photo that fine-tuning sees: the plain one, exactly the endpoint's, and random ones, made fast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training import preprocess

__all__ = ["CROP_AREA", "ViewMaker"]

CROP_AREA = (0.35, 1.0)


class ViewMaker:
    """From a photo's bytes to pixels: uint8, (S, S, 3)."""

    def __init__(self, *, image_size: int, flip: bool, crop_area: tuple[float, float] = CROP_AREA):
        self._size, self._flip, self._area = image_size, flip, crop_area
        self._resize = preprocess.resize_for(image_size)

    def plain(self, data: bytes) -> NDArray[np.uint8]:
        """What the endpoint sees of the photo."""
        image = preprocess.decode(data, shorter_side=self._resize)
        return preprocess.center_crop(image, image_size=self._size, resize=self._resize)

    def random(self, data: bytes, *, seed: str) -> NDArray[np.uint8]:
        """A random crop, mirrored half the time: the same seed, the same view."""
        image = preprocess.decode(data, shorter_side=self._resize)
        return preprocess.augmented_view(image, image_size=self._size, flip=self._flip, seed=seed)
