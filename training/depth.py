"""From values of more than 8 bits to 8 bits by their own range, a strip at a time: a picture is never copied whole."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["by_strips", "colours_of_8_bits", "grey_of_8_bits"]

_BITS: Final = (1, 8, 10, 12, 14, 16, 24, 31)
"""Depths that grey pictures are met in, whatever they are stored in: masks, files of 8 bits, cameras, X-rays."""
_FLOAT_WHITE: Final = 2.0
"""Floats up to here mean 0 to 1: resampling and highlights go a little beyond 1, and pictures of 0 to 255 far."""

_STRIP_PIXELS: Final = 2**18
"""Pixels that are worked on at once: the values of a strip stay in the processor's cache."""

_Box = tuple[int, int, int, int]
"""Left, top, right and bottom of a part of a picture, in pixels."""


def by_strips(image: Image.Image, change: Callable[[Image.Image], Image.Image], *, mode: str) -> Image.Image:
    """Return a picture of another mode, made strip by strip."""
    changed = Image.new(mode, image.size)
    for box in _strips(image):
        changed.paste(change(image.crop(box)), box)
    return changed


def grey_of_8_bits(image: Image.Image) -> Image.Image:
    """Return grey of any range, Pillow's modes I and F and their kin, as mode L; NaN is black."""
    scale = _Scale.of(np.asarray(image.crop(box)) for box in _strips(image))
    return by_strips(image, lambda strip: Image.fromarray(scale.applied(np.asarray(strip))), mode="L")


def colours_of_8_bits(image: Image.Image, *, stored: str, data: bytes) -> Image.Image:
    """Return a picture of 16 bits a colour in 8, by its own range.

    Pillow keeps the upper byte of each colour: all there is to see of 16 bits, and nothing of 8 bits stored in 16.
    Where the upper bytes are small, the lower ones are read by telling Pillow the other byte order.

    Args:
        image: as Pillow decoded it, RGB or RGBA.
        stored: how the file has it, `RGB;16B` for example.
        data: the file.
    """
    if any(sum(image.getchannel(colour).histogram()[2**6 :]) for colour in "RGB"):
        return image
    with Image.open(io.BytesIO(data), formats=[image.format or ""]) as again:
        other = stored[:-1] + ("B" if stored.endswith("L" if sys.byteorder == "big" else ("L", "N")) else "L")
        again.tile = [
            tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other)
            for tile in again.tile
        ]
        again.load()

    def values(box: _Box) -> NDArray[np.uint16]:
        deep = np.asarray(image.crop(box)).astype(np.uint16)
        deep <<= 8
        deep |= np.asarray(again.crop(box))
        return deep

    # colours and transparency have a range each
    parts = [slice(0, 3), slice(3, 4)][: len(image.getbands()) - 2]
    scales = [_Scale.of(values(box)[..., part] for box in _strips(image)) for part in parts]
    for box in _strips(image):
        deep = values(box)
        scaled = [scale.applied(deep[..., part]) for scale, part in zip(scales, parts, strict=True)]
        image.paste(Image.fromarray(np.concatenate(scaled, axis=-1)), box)
    return image


@dataclass(frozen=True)
class _Scale:
    """How values become 0 to 255: the lowest less than 0 is black, and `white` white."""

    lowest: float
    highest: float
    floats: bool

    @classmethod
    def of(cls, strips: Iterable[NDArray[Any]]) -> _Scale:
        """Return the scale of a picture by the range of its finite values."""
        lowest, highest, floats = 0.0, 0.0, False
        for strip in strips:
            floats = strip.dtype.kind == "f"
            least, most = strip.min(initial=0), strip.max(initial=0)
            if floats and not (np.isfinite(least) and np.isfinite(most)):
                finite = strip[np.isfinite(strip)]
                least, most = finite.min(initial=0), finite.max(initial=0)
            lowest, highest = min(lowest, float(least)), max(highest, float(most))
        return cls(lowest, highest, floats)

    def applied(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return values as 0 to 255."""
        if values.dtype.itemsize == 2 and values.dtype.kind == "u":
            scaled: NDArray[np.uint8] = self._table[values]
            return scaled
        given = values.astype(np.float32)
        if self.floats:
            np.nan_to_num(given, copy=False, nan=0, posinf=self.highest, neginf=self.lowest)
        if self.lowest < 0:
            given -= np.float32(self.lowest)
        given *= np.float32(255 / self._range)
        np.rint(np.clip(given, 0, 255, out=given), out=given)
        levels: NDArray[np.uint8] = given.astype(np.uint8)
        return levels

    @cached_property
    def _table(self) -> NDArray[np.uint8]:
        steps = np.arange(2**16, dtype=np.float32) * np.float32(255 / self._range)
        table: NDArray[np.uint8] = np.clip(steps, 0, 255).round().astype(np.uint8)
        return table

    @property
    def _range(self) -> float:
        """The value that means white, above the one that means black."""
        if self.lowest < 0:
            return self.highest - self.lowest
        if self.floats and self.highest <= _FLOAT_WHITE:
            return 1.0
        return next((2.0**bits - 1 for bits in _BITS if self.highest < 2**bits), self.highest)


def _strips(image: Image.Image) -> Iterator[_Box]:
    """Give the whole picture from the top, in strips as wide as it is."""
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield (0, top, image.width, min(top + rows, image.height))
