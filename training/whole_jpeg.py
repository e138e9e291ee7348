"""Whether a JPEG holds all the pixels that its header announces: libjpeg makes up those that lack, and tells nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PIL import Image

from training.jpeg_markers import START_OF_SCAN, markers

__all__ = ["lacks_pixels", "same_pixels"]

_MADE_UP: Final = (127, 128)
"""Middle grey, which a block without coefficients has: 128 in each component, 127 where ink is stored inverted."""
_TAIL: Final = b"\x55" * 64
"""Bits that decode to something else than middle grey."""
_ROWS: Final = 256


def lacks_pixels(image: Image.Image, data: bytes, *, decoded: Callable[[bytes], Image.Image]) -> bool:
    """Return whether the last pixels of a JPEG are not in the file.

    Where the last pixel is of the grey that libjpeg makes up, the file is decoded once more, with other bytes after
    those of the first scan, which holds the brightness of every block. They are read only if blocks were to come.

    Args:
        image: the file's pixels as they are stored.
        data: the file.
        decoded: decodes the longer file in the same way.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    if any(value not in _MADE_UP for value in (last if isinstance(last, tuple) else (last,))):
        return False
    walk = markers(data)
    if not any(code == START_OF_SCAN for code, _ in walk):
        return False
    _, end = next(walk, (0, len(data)))
    return not same_pixels(image, decoded(data[:end] + _TAIL + data[end:]))


def same_pixels(one: Image.Image, other: Image.Image) -> bool:
    """Return whether two pictures are equal, a strip at a time, so that no picture is copied whole."""
    if (one.mode, one.size) != (other.mode, other.size):
        return False
    strips = ((0, top, one.width, min(top + _ROWS, one.height)) for top in range(0, one.height, _ROWS))
    return all(one.crop(strip).tobytes() == other.crop(strip).tobytes() for strip in strips)
