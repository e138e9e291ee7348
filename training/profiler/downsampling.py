"""Keeps an evenly spaced part of a series, so that a series of any length fits into bounded memory."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

__all__ = ["DownsampledSeries", "downsampled"]


class DownsampledSeries:
    """A series that keeps every value until there are `limit`, then every second, every fourth and so on.

    A value that is kept takes 8 bytes.

    Raises:
        ValueError: the limit is below 2.
    """

    def __init__(self, limit: int):
        if limit < 2:
            raise ValueError(f"limit is {limit}; give 2 or more, or nothing is left after the first halving")
        self._limit: Final = limit
        self._kept = array("d")
        self._count = 0
        self.stride = 1
        """The number of values that each kept one stands for."""

    def append(self, value: float) -> None:
        """Append the series' next value."""
        if self._count % self.stride == 0:
            if len(self._kept) == self._limit:
                del self._kept[1::2]
                self.stride *= 2
            if self._count % self.stride == 0:
                self._kept.append(value)
        self._count += 1

    @property
    def kept(self) -> list[float]:
        """The kept values in order, beginning with the series' first."""
        return self._kept.tolist()


def downsampled(values: Sequence[float], *, limit: int) -> list[float]:
    """Return at most `limit` of the values, evenly spaced and in order; all of them where they are no more."""
    stride = max(1, -(-len(values) // limit))
    return list(values[::stride])
