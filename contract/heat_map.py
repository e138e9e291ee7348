"""Heat maps: from evidence to values, and from values to the colours that every picture of them has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["HEAT_COLOURS", "heat_opacity", "heat_values"]

HEAT_COLOURS: Final = {"for": (230, 97, 0), "against": (0, 90, 181)}
"""Red, green and blue of places that speak for a label (orange) and against it (blue): a pair that people with any
colour blindness tell apart."""

_MOST_OPAQUE: Final = 0.65
"""Opacity of the strongest places, through which the photo can still be seen."""

_DIGITS: Final = 4


def heat_values(evidence: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the evidence of each place, (rows, columns), divided by the greatest magnitude: from -1 to 1."""
    greatest = max(abs(value) for row in evidence for value in row)
    return [[round(value / greatest, _DIGITS) if greatest else 0.0 for value in row] for row in evidence]


def heat_opacity(value: float) -> float:
    """Return the opacity, 0 to 1, that a value of a heat map is drawn with, in the colour of its sign."""
    return _MOST_OPAQUE * abs(value)
