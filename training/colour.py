"""From decoded values of any mode, range and colour space to sRGB of 8 bits, which the backbones were trained on."""

from __future__ import annotations

import io
import sys
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

__all__ = ["raw_mode", "srgb_transform", "to_srgb"]

_BITS: Final = (1, 8, 10, 12, 14, 16, 24, 31)
"""Depths that grey pictures are met in, whatever they are stored in: masks, files of 8 bits, cameras, X-rays."""
_FLOAT_WHITE: Final = 2.0
"""Floats up to here mean 0 to 1: resampling and highlights go a little beyond 1, and pictures of 0 to 255 far."""

_MAX_PROFILE_BYTES: Final = 4 * 2**20
"""Of colour profiles that are read; those of print have 0.5 to 3 MB."""
_PROFILES_KEPT: Final = 8
_SAME_COLOUR: Final = 2
"""Levels of 255 by which a profile may move a colour and still count as sRGB."""


def to_srgb(image: Image.Image, *, data: bytes) -> Image.Image:
    """Return a picture as sRGB of 8 bits, Pillow's mode RGB.

    Values of more than 8 bits are scaled by their own range: to the smallest usual depth that holds the brightest one
    (12 bits for 3,000 of 65,535). Where values are negative, the lowest and the highest become black and white.
    Transparency is laid on white. An embedded colour profile is applied; a damaged one is ignored.

    Args:
        image: as Pillow opened it.
        data: the file, which is read twice where 16 bits a colour hold less than 15.
    """
    profile, stored = image.info.get("icc_profile"), raw_mode(image)

    # to 8 bits
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_8_bits(np.asarray(image)))
    elif ";16" in stored and image.mode in ("RGB", "RGBA"):
        image = _deep_colour(image, stored=stored, data=data)

    # onto white, then to sRGB
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    transform = srgb_transform(profile, mode=image.mode)
    return image.convert("RGB") if transform is None else transform.apply(image)


def srgb_transform(profile: object, *, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from an embedded profile's colours to sRGB; None where they are left as they are.

    They are left where there is no profile, where it changes nothing that can be seen, and where it is damaged or of
    another colour space than the picture's (an RGB profile in a grey JPEG).

    Args:
        profile: Pillow's `info["icc_profile"]`.
        mode: the picture's: L, RGB or CMYK.
    """
    if not isinstance(profile, bytes) or not 0 < len(profile) <= _MAX_PROFILE_BYTES:
        return None
    return _known_transform(profile, mode)


def raw_mode(image: Image.Image) -> str:
    """Return how a picture that is not loaded yet is stored, in Pillow's words: `RGB;16B` for 16 bits a colour."""
    tiles = getattr(image, "tile", [])
    return _raw_mode_of(tiles[0].args) if tiles else ""


@lru_cache(maxsize=_PROFILES_KEPT)
def _known_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode == "CMYK":
            return transform

        # sRGB has many names and some profiles have the wrong one: see what it does to a few colours
        levels = np.arange(0, 256, 51, dtype=np.uint8)
        grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
        colours = Image.fromarray(grid).convert(mode)
        moved = np.asarray(transform.apply(colours)).astype(int) - np.asarray(colours.convert("RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):  # damaged, or of another colour space
        return None
    return transform if np.abs(moved).max() > _SAME_COLOUR else None


def _to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return values of any range as 0 to 255; NaN is black."""
    if values.dtype.itemsize == 2 and values.dtype.kind == "u":
        # a table: 50 million pixels as floats would take four times the memory
        steps = np.arange(2**16, dtype=np.float32) * np.float32(255 / _white(values.max(initial=0), floats=False))
        table: NDArray[np.uint8] = np.clip(steps, 0, 255).round().astype(np.uint8)
        scaled: NDArray[np.uint8] = table[values]
        return scaled
    floats = values.dtype.kind == "f"
    given = values.astype(np.float32)
    finite = given[np.isfinite(given)]
    lowest, highest = float(finite.min(initial=0)), float(finite.max(initial=0))
    np.nan_to_num(given, copy=False, nan=0, posinf=highest, neginf=lowest)
    if lowest < 0:
        given -= np.float32(lowest)
    given *= np.float32(255 / (highest - lowest if lowest < 0 else _white(highest, floats=floats)))
    return np.clip(given, 0, 255).round().astype(np.uint8)


def _white(highest: float, *, floats: bool) -> float:
    """Return the value that means white, where `highest` is the brightest there is."""
    if floats and highest <= _FLOAT_WHITE:
        return 1.0
    return next((2.0**bits - 1 for bits in _BITS if highest < 2**bits), float(highest))


def _deep_colour(image: Image.Image, *, stored: str, data: bytes) -> Image.Image:
    """Return a picture of 16 bits a colour in 8, by its own range.

    Pillow keeps the upper byte of each colour: all there is to see of 16 bits, and nothing of 8 bits stored in 16.
    Where the upper bytes are small, the lower ones are read by telling Pillow the other byte order.
    """
    upper = np.asarray(image)
    if upper[..., :3].max(initial=0) >= 2**6:
        return image
    with Image.open(io.BytesIO(data), formats=[image.format or ""]) as again:
        other = stored[:-1] + ("B" if stored.endswith("L" if sys.byteorder == "big" else ("L", "N")) else "L")
        again.tile = [
            tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other)
            for tile in again.tile
        ]
        lower = np.asarray(again)
    values = upper.astype(np.uint16) << 8 | lower
    parts = [_to_8_bits(part) for part in (values[..., :3], values[..., 3:]) if part.size]
    return Image.fromarray(np.concatenate(parts, axis=-1))


def _raw_mode_of(args: object) -> str:
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""
