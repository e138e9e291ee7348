"""Fair comparisons on a machine that other things run on too."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

__all__ = ["interleave", "median"]


def interleave(candidates: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each candidate's measurements, taken in turns.

    In turns, a busy minute of the machine hits all candidates and not the unlucky one. Every second round goes
    backwards, so that none always follows the one that leaves the caches warm.
    """
    measured: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds):
        names = list(candidates)
        for name in reversed(names) if number % 2 else names:
            measured[name].append(candidates[name]())
    return measured


def median(values: Iterable[float]) -> float:
    """The middle value: a few disturbed measurements do not move it."""
    return statistics.median(values)
