"""Photos that are tiny, dark, bright or blurred, each beside the other photos of the data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import contract

__all__ = ["Flaw", "flaws"]

_TINY: Final = 0.3
"""Share of the network's image size that a photo's shorter side may have, and of the data set's median."""

_DARK: Final = 0.2
"""Lightness, from 0 to 1, below which 95 % of a dark photo's pixels are."""

_BRIGHT: Final = 0.9
"""Lightness above which 95 % of a bright photo's pixels are."""

_CONTRAST: Final = 0.5
"""Share of the data set's median that a dark or bright photo must also stay below: X-rays are dark, and no flaw."""

_BLURRED: Final = 15.0
"""Variance of the Laplacian below which a photo may be blurred, on pixels of 0 to 255."""

_DEVIATIONS: Final = 3.5
"""Robust standard deviations of the logarithm by which it must be below the data set's median, too."""


@dataclass(frozen=True)
class Flaw:
    """What is wrong with one photo's pixels."""

    kind: contract.FindingKind
    position: int
    score: float
    reason: str


def flaws(pixels: NDArray[Any], *, image_size: int) -> list[Flaw]:
    """Return the flaws of photos, kind by kind.

    Args:
        pixels: a record of `pixels.PIXELS` for each photo.
        image_size: side of the square that the network sees, in pixels.
    """
    if len(pixels) == 0:
        return []
    light = [*_dark(pixels), *_bright(pixels)]
    unlit = {flaw.position for flaw in light}
    # in the dark, nothing is sharp
    blurred = [flaw for flaw in _blurred(pixels) if flaw.position not in unlit]
    return [*_tiny(pixels, image_size=image_size), *blurred, *light]


def _tiny(pixels: NDArray[Any], *, image_size: int) -> list[Flaw]:
    sides = np.minimum(pixels["width"], pixels["height"]).astype(np.float64)
    limit = _TINY * min(float(image_size), float(np.median(sides)))
    return [
        Flaw(
            "tiny",
            int(at),
            score=limit / float(sides[at]),
            reason=f"{pixels['width'][at]} x {pixels['height'][at]} pixels; the network sees {image_size} x "
            f"{image_size}, and half of the photos have a shorter side of at least {np.median(sides):.0f}",
        )
        for at in np.flatnonzero(sides < limit)
    ]


def _blurred(pixels: NDArray[Any]) -> list[Flaw]:
    logarithms = np.log(pixels["sharpness"].astype(np.float64) + 1e-3)
    median = np.median(logarithms)
    deviation = 1.4826 * np.median(np.abs(logarithms - median))
    below = (median - logarithms) / max(float(deviation), 0.1)
    return [
        Flaw(
            "blurred",
            int(at),
            score=float(below[at]),
            reason=f"sharpness {pixels['sharpness'][at]:.1f}, where half of the photos have at least "
            f"{np.exp(median):.0f}",
        )
        for at in np.flatnonzero((pixels["sharpness"] < _BLURRED) & (below > _DEVIATIONS))
    ]


def _dark(pixels: NDArray[Any]) -> list[Flaw]:
    light = pixels["bright"].astype(np.float64)
    dark = (light < _DARK) & (light < _CONTRAST * np.median(light))
    return [
        Flaw("dark", int(at), score=1 - float(light[at]), reason=f"95 % of its pixels are darker than {light[at]:.0%}")
        for at in np.flatnonzero(dark)
    ]


def _bright(pixels: NDArray[Any]) -> list[Flaw]:
    shade = 1 - pixels["dark"].astype(np.float64)
    bright = (shade < 1 - _BRIGHT) & (shade < _CONTRAST * np.median(shade))
    return [
        Flaw(
            "bright",
            int(at),
            score=1 - float(shade[at]),
            reason=f"95 % of its pixels are brighter than {1 - shade[at]:.0%}",
        )
        for at in np.flatnonzero(bright)
    ]
