"""Which hyperparameters the next trial gets: SageMaker's strategies."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from local.sagemaker.tuning.gaussian_process import GaussianProcess, expected_improvement
from local.sagemaker.tuning.search_space import Ranges, SearchSpace

__all__ = ["Search"]

Array = NDArray[np.float64]

_MIN_FIRST, _MAX_FIRST = 3, 10
"""Trials spread evenly before the first guess: with fewer the search is blind, more would be all of a small job."""
_CANDIDATES, _NEAR_BEST, _NEAR = 1000, 200, 0.05
_TRANSFERRED = 3
"""Best trials of a job on other data or of another algorithm that are tried first."""


class Search:
    """Proposes hyperparameters and learns from the trials' objectives.

    Bayesian is a Gaussian process with expected improvement, which reckons with the trials still running as if they
    ended as expected; Random draws; Grid walks through every combination of the categorical values.
    """

    def __init__(self, *, ranges: Ranges, strategy: str, maximise: bool, seed: int | None) -> None:
        self._space = SearchSpace(ranges)
        self._bayesian = strategy == "Bayesian"
        self._sign = 1.0 if maximise else -1.0
        self._chance = np.random.default_rng(seed)
        self._grid = _grid(ranges, seed) if strategy == "Grid" else None
        self._first = min(_MAX_FIRST, max(_MIN_FIRST, self._space.dimensions + 1))
        self._start = self._chance.random(self._space.dimensions)
        self._proposed = 0
        self._running: dict[int, Array] = {}
        self._points: list[Array] = []
        self._values: list[float] = []
        self._failed: list[Array] = []
        self._recommended: list[Array] = []

    @property
    def size(self) -> int | None:
        """Number of combinations where it is bounded (Grid), else None."""
        return len(self._grid) if self._grid is not None else None

    def propose(self) -> tuple[int, dict[str, str]]:
        """A trial's number and its hyperparameters, as strings."""
        number = self._proposed
        self._proposed += 1
        if self._grid is not None:
            return number, self._grid[number]
        self._running[number] = point = self._space.snapped(self._next(number))
        return number, self._space.values(point)

    def learn(self, number: int, objective: float | None) -> None:
        """Tell a trial's objective; None where it has none."""
        if self._grid is not None:
            return
        point = self._running.pop(number)
        if objective is None or not np.isfinite(objective):
            self._failed.append(point)
        else:
            self._points.append(point)
            self._values.append(self._sign * objective)

    def recall(self, trials: Sequence[tuple[Mapping[str, str], float]], *, same: bool) -> None:
        """Begin with what earlier trials found; those outside of the ranges say nothing here.

        Args:
            trials: hyperparameters and objective of each.
            same: the data and the algorithm are the same, so that the objectives are as good as own ones. Else
                objectives mean something else here, and only the hyperparameters of the best are tried first.
        """
        found = [(self._space.point(values), self._sign * objective) for values, objective in trials]
        kept = [(point, value) for point, value in found if point is not None and np.isfinite(value)]
        if same:
            self._points += [point for point, _ in kept]
            self._values += [value for _, value in kept]
        else:
            best = sorted(kept, key=lambda trial: trial[1], reverse=True)
            self._recommended += [point for point, _ in best[:_TRANSFERRED]]

    def _next(self, number: int) -> Array:
        if self._recommended:
            return self._recommended.pop(0)
        if not self._bayesian:
            return self._chance.random(self._space.dimensions)
        if len(self._points) + len(self._running) < self._first or not self._points:
            return _spread(number, start=self._start)
        return self._most_promising()

    def _most_promising(self) -> Array:
        """Where the expected improvement is highest, among places everywhere and near the best ones so far."""
        values = _without_abysses(np.array(self._values))
        # A trial that failed counts as bad as any, so that the search keeps away; one that runs, as bad as expected.
        points = np.array(self._points + self._failed)
        values = np.concatenate([values, np.full(len(self._failed), values.min())])
        process = GaussianProcess(points, values)
        if self._running:
            waiting = np.array(list(self._running.values()))
            points = np.concatenate([points, waiting])
            values = np.concatenate([values, process.predict(waiting)[0]])
            process = GaussianProcess(points, values)
        seen = process.predict(points)[0]
        best = points[np.argsort(-seen)[:5]]
        near = self._chance.choice(best, _NEAR_BEST) + self._chance.normal(
            scale=_NEAR, size=(_NEAR_BEST, best.shape[1])
        )
        anywhere = self._chance.random((_CANDIDATES, best.shape[1]))
        candidates = np.array([self._space.snapped(point) for point in np.clip(np.concatenate([anywhere, near]), 0, 1)])
        mean, deviation = process.predict(candidates)
        chosen: Array = candidates[expected_improvement(mean, deviation, best=float(seen.max())).argmax()]
        return chosen


def _without_abysses(values: Array) -> Array:
    """Outliers at the bottom brought up to Tukey's outer fence: a diverged trial would make all others look alike."""
    low, high = np.quantile(values, [0.25, 0.75])
    return values if low == high else np.maximum(values, low - 3 * (high - low))


def _spread(number: int, *, start: Array) -> Array:
    """The number-th of points that fill the cube evenly: multiples of powers of a generalised golden ratio.

    Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences" (2018).
    """
    ratio = 2.0
    for _ in range(30):
        ratio = (1 + ratio) ** (1 / (len(start) + 1))
    steps = ratio ** -np.arange(1, len(start) + 1)
    place: Array = (start + (number + 1) * steps) % 1
    return place


def _grid(ranges: Ranges, seed: int | None) -> list[dict[str, str]]:
    entries = ranges.get("CategoricalParameterRanges", [])
    combinations = itertools.product(*(entry["Values"] for entry in entries))
    grid = [dict(zip((entry["Name"] for entry in entries), values, strict=True)) for values in combinations]
    random.Random(seed or 0).shuffle(grid)  # noqa: S311 - an order, not a secret
    return grid
