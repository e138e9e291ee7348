"""From decoded values of any mode, range and colour space to sRGB of 8 bits, which the backbones were trained on."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageCms

from training.depth import by_strips, colours_of_8_bits, grey_of_8_bits

__all__ = ["raw_mode", "srgb_transform", "to_srgb"]

_MAX_PROFILE_BYTES: Final = 4 * 2**20
"""Of colour profiles that are read; those of print have 0.5 to 3 MB."""
_PROFILES_KEPT: Final = 8
_SAME_COLOUR: Final = 2
"""Levels of 255 by which a profile may move a colour and still count as sRGB."""


def to_srgb(image: Image.Image, *, stored: str, data: bytes) -> Image.Image:
    """Return a picture as sRGB of 8 bits, Pillow's mode RGB; the given one is not to be used any more.

    Values of more than 8 bits are scaled by their own range: to the smallest usual depth that holds the brightest one
    (12 bits for 3,000 of 65,535). Where values are negative, the lowest and the highest become black and white.
    Transparency is laid on white. An embedded colour profile is applied; a damaged one is ignored.

    It works on a strip at a time, so that beside the given picture there is one other in memory at most.

    Args:
        image: as Pillow decoded it.
        stored: `raw_mode` of the image before it was decoded.
        data: the file, which is read twice where 16 bits a colour hold less than 15.
    """
    profile = image.info.get("icc_profile")

    # to 8 bits
    if image.mode.startswith(("I", "F")):
        image = _instead(image, grey_of_8_bits(image))
    elif ";16" in stored and image.mode in ("RGB", "RGBA"):
        image = colours_of_8_bits(image, stored=stored, data=data)

    # onto white, then to sRGB
    if image.has_transparency_data:
        image = _instead(image, by_strips(image, _on_white, mode="RGB"))
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = _instead(image, image.convert("L" if image.mode == "1" else "RGB"))
    transform = srgb_transform(profile, mode=image.mode)
    if image.mode == "RGB":
        return image if transform is None else transform.apply_in_place(image)
    return _instead(image, image.convert("RGB") if transform is None else transform.apply(image))


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


def _instead(image: Image.Image, other: Image.Image) -> Image.Image:
    """Return the other picture, and give the memory of the first one back, whoever still holds it."""
    image.close()
    return other


def _on_white(strip: Image.Image) -> Image.Image:
    seen = strip.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def _raw_mode_of(args: object) -> str:
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""
