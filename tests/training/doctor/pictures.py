"""Pictures that are all different and have detail, as photos do, and copies of them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

__all__ = ["blurred", "cropped", "jpeg", "photo", "read_back"]


def photo(seed: int, *, width: int = 320, height: int = 240) -> Image.Image:
    """Return a picture of coloured patches of several sizes, others for each seed."""
    rng = np.random.default_rng(seed)
    layers = np.zeros((height, width, 3))
    for cells, strength in ((3, 90.0), (12, 60.0), (40, 40.0)):
        noise = rng.uniform(0, 255, (cells, cells, 3)).astype(np.uint8)
        layer = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        layers += (np.asarray(layer, dtype=np.float64) / 255 - 0.5) * strength
    return Image.fromarray(np.clip(layers + 128, 0, 255).astype(np.uint8))


def cropped(image: Image.Image, share: float, *, seed: int = 0) -> Image.Image:
    """Return a part of a picture with this share of its width and of its height, somewhere in it."""
    rng = np.random.default_rng(seed)
    width, height = round(image.width * share), round(image.height * share)
    left, top = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))


def jpeg(image: Image.Image, *, quality: int = 95) -> bytes:
    """Return a picture as a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def read_back(image: Image.Image, *, quality: int) -> Image.Image:
    """Return a picture as it is after it was saved as a JPEG file."""
    return Image.open(io.BytesIO(jpeg(image, quality=quality))).convert("RGB")


def blurred(image: Image.Image) -> Image.Image:
    """Return a picture that is out of focus."""
    return image.filter(ImageFilter.GaussianBlur(8))
