"""A series of any length in bounded memory: an evenly spaced part of it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

__all__ = ["Thinned", "thinned"]


class Thinned:
    """Keeps every value until there are `limit`, from then on every second, every fourth and so on; 8 bytes each."""

    def __init__(self, limit: int):
        if limit < 2:
            raise ValueError(f"limit is {limit}; give 2 or more, or nothing is left after the first thinning")
        self._limit: Final = limit
        self._kept = array("d")
        self._seen = 0
        self.stride = 1
        """How many values one that was kept stands for."""

    def append(self, value: float) -> None:
        """The series' next value."""
        if self._seen % self.stride == 0:
            if len(self._kept) == self._limit:
                del self._kept[1::2]
                self.stride *= 2
            if self._seen % self.stride == 0:
                self._kept.append(value)
        self._seen += 1

    @property
    def kept(self) -> list[float]:
        """In order, beginning with the first."""
        return self._kept.tolist()


def thinned(values: Sequence[float], *, limit: int) -> list[float]:
    """At most `limit` of the values, evenly spaced, in order; all of them where they are no more."""
    stride = max(1, -(-len(values) // limit))
    return list(values[::stride])
