"""What the pixels of one photo say by themselves: its size, its light, its sharpness, and a small picture of it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training import preprocess

__all__ = ["MEASURED_SIDE", "PIXELS", "THUMBNAIL", "decoded", "measure"]

MEASURED_SIDE: Final = 256
"""Shorter side at which light and sharpness are measured, in pixels: what is blurred at no more than this size is
blurred for the network, too. Smaller photos are measured as they are, since enlarging would blur them."""

THUMBNAIL: Final = 64
"""Side of the small grey picture, in pixels, whatever the photo's proportions."""

PIXELS: Final = np.dtype(
    [
        ("width", np.int32),
        ("height", np.int32),
        ("sharpness", np.float32),
        ("dark", np.float32),
        ("bright", np.float32),
        ("thumbnail", np.uint8, (THUMBNAIL, THUMBNAIL)),
    ]
)
"""Of one photo: its size upright, the variance of the Laplacian, the 5th and the 95th percentile of its lightness from
0 to 1, and the small picture."""


def decoded(data: bytes, *, shorter_side: int) -> tuple[Image.Image, tuple[int, int]]:
    """Return a photo upright, perhaps smaller than it is (`preprocess.decode`), and its own width and height.

    Raises:
        ImageError: it cannot be read.
    """
    image = preprocess.decode(data, shorter_side=max(shorter_side, MEASURED_SIDE))
    with preprocess.open_image(data) as header:
        width, height = header.size
    if (image.width > image.height) != (width > height) and image.width != image.height:
        width, height = height, width
    return image, (width, height)


def measure(image: Image.Image, *, size: tuple[int, int]) -> NDArray[np.void]:
    """Return the measurements of a decoded photo, one record of `PIXELS`.

    Args:
        image: upright, in RGB.
        size: the photo's own width and height, upright.
    """
    grey = image.convert("L")
    smaller = min(1.0, MEASURED_SIDE / min(grey.size))
    at_size = grey.resize((max(1, round(grey.width * smaller)), max(1, round(grey.height * smaller))))
    lightness = np.asarray(at_size, dtype=np.float32)
    dark, bright = np.percentile(lightness, (5, 95)) / 255

    found = np.zeros((), dtype=PIXELS)
    found["width"], found["height"] = size
    found["sharpness"] = _laplacian_variance(lightness)
    found["dark"], found["bright"] = dark, bright
    found["thumbnail"] = np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    return found


def _laplacian_variance(lightness: NDArray[np.float32]) -> float:
    """Return the variance of the four-neighbour Laplacian, as OpenCV's `Laplacian(image).var()` without the border."""
    if min(lightness.shape) < 3:
        return 0.0
    middle = lightness[1:-1, 1:-1]
    around = lightness[:-2, 1:-1] + lightness[2:, 1:-1] + lightness[1:-1, :-2] + lightness[1:-1, 2:]
    return float((around - 4 * middle).var())
