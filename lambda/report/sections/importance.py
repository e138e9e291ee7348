"""The importance of a hyperparameter: how much of the objective's variance it explains over the trials."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MIN_TRIALS", "Importance", "importance", "ranks"]

MIN_TRIALS = 5
"""Fewest trials. A parabola has three coefficients, so that it fits nearly any four trials."""


@dataclass(frozen=True)
class Importance:
    """The importance of one hyperparameter alone; what it does together with another one is not measured."""

    name: str
    correlation: float
    """Spearman's rank correlation with the objective, from -1 to 1."""
    explained: float
    """Share of the objective's variance that a parabola through the values explains, adjusted for the number of trials
    (adjusted R squared; Ezekiel 1930). A parabola also finds a best value in the middle. 0 where it explains
    nothing."""


def importance(
    name: str, values: Sequence[float], objectives: Sequence[float], *, logarithmic: bool
) -> Importance | None:
    """Return the importance, or None where there are too few trials, or nothing varies.

    Args:
        name: The name of the hyperparameter.
        values: The value of each trial.
        objectives: The objective of each trial.
        logarithmic: Whether the parabola takes the logarithms of the values, as the search drew them.
    """
    count = len(values)
    if count < MIN_TRIALS or len(set(values)) < 2 or len(set(objectives)) < 2:
        return None
    places = [math.log(value) for value in values] if logarithmic and min(values) > 0 else list(values)
    plain = _explained(places, objectives)
    adjusted = 1 - (1 - plain) * (count - 1) / (count - 3)
    return Importance(
        name=name,
        correlation=statistics.correlation(ranks(values), ranks(objectives)),
        explained=max(0.0, adjusted),
    )


def ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value, from 1; equal values share the mean of their ranks."""
    ordered = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(ordered, start=1)))}
    return [first[value] + (ordered.count(value) - 1) / 2 for value in values]


def _explained(places: Sequence[float], objectives: Sequence[float]) -> float:
    """Return R squared of the least-squares parabola, from the objective's parts along two orthogonal regressors."""
    spread = _centred(objectives)
    total = _dot(spread, spread)

    # make the square orthogonal to the line (Gram-Schmidt)
    line = _centred(places)
    curve = _centred([value * value for value in line])
    overlap = _dot(curve, line) / _dot(line, line)
    bend = [c - overlap * x for c, x in zip(curve, line, strict=True)]

    explained = 0.0
    for regressor in (line, bend):
        length = _dot(regressor, regressor)
        if length > 1e-12 * _dot(curve, curve):  # with only two different values there is no bend
            explained += _dot(spread, regressor) ** 2 / length
    return min(1.0, explained / total)


def _centred(values: Sequence[float]) -> list[float]:
    middle = statistics.fmean(values)
    return [value - middle for value in values]


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))
