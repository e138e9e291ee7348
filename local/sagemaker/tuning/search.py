"""SageMaker's tuning strategies: which hyperparameters the next trial gets."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from local.sagemaker.tuning.search_space import Ranges, SearchSpace

__all__ = ["Search"]

Array = NDArray[np.float64]

_MIN_FIRST, _MAX_FIRST = 3, 10
"""Limits of the number of trials that are spread evenly before the model is used (one more than there are dimensions).

With fewer the model knows nothing; more would use up a small tuning job.
"""

_CANDIDATES = 1000
"""Points drawn from the whole space, of which the most promising is proposed."""

_NEAR_BEST, _NEAR = 200, 0.05
"""Further candidates close to the best points so far, and their standard deviation from them."""

_TRANSFERRED = 3
"""Best trials of a parent on other data or of another algorithm that are tried first."""


class Search:
    """Propose hyperparameters, and learn from the trials' objectives.

    Bayesian search fits a Gaussian process and proposes the point with the highest expected improvement; it treats
    running trials as if they had returned the predicted mean. Random search draws uniformly from the ranges. Grid
    search tries every combination of the categorical values.
    """

    def __init__(self, *, ranges: Ranges, strategy: str, maximise: bool, seed: int | None) -> None:
        self._space = SearchSpace(ranges)
        self._bayesian = strategy == "Bayesian"
        self._sign = 1.0 if maximise else -1.0
        self._rng = np.random.default_rng(seed)
        self._grid = _grid(ranges, seed) if strategy == "Grid" else None
        self._first = min(_MAX_FIRST, max(_MIN_FIRST, self._space.dimensions + 1))
        self._start = self._rng.random(self._space.dimensions)
        self._proposed = 0
        self._running: dict[int, Array] = {}
        self._points: list[Array] = []
        self._values: list[float] = []
        self._failed: list[Array] = []
        self._recommended: list[Array] = []

    @property
    def size(self) -> int | None:
        """The number of combinations of a grid search; None for the other strategies, which have no end."""
        return len(self._grid) if self._grid is not None else None

    def propose(self) -> tuple[int, dict[str, str]]:
        """Return the next trial's number and its hyperparameters, as strings."""
        number = self._proposed
        self._proposed += 1
        if self._grid is not None:
            return number, self._grid[number]
        self._running[number] = point = self._space.snapped(self._next(number))
        return number, self._space.values(point)

    def learn(self, number: int, objective: float | None) -> None:
        """Learn the objective of a trial that ended; None where it has no objective."""
        if self._grid is not None:
            return
        point = self._running.pop(number)
        if objective is None or not np.isfinite(objective):
            self._failed.append(point)
        else:
            self._points.append(point)
            self._values.append(self._sign * objective)

    def recall(self, trials: Sequence[tuple[Mapping[str, str], float]], *, same: bool) -> None:
        """Learn from the trials of earlier tuning jobs. Trials outside of the ranges are ignored.

        Args:
            trials: the hyperparameters and the objective of each trial.
            same: whether data and algorithm are those of this job, so that the objectives count like its own.
                Otherwise the objectives are not comparable, and the best trials' hyperparameters are tried first.
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
            return self._rng.random(self._space.dimensions)
        if len(self._points) + len(self._running) < self._first or not self._points:
            return _spread(number, start=self._start)
        return self._most_promising()

    def _most_promising(self) -> Array:
        """Return the candidate with the highest expected improvement."""
        # scikit-learn takes a second and 80 MB, which a cloud without a Bayesian tuning job does not spend
        from local.sagemaker.tuning.gaussian_process import GaussianProcess, expected_improvement

        # a failed trial counts like the worst one, so that the search keeps away from it
        values = _clip_outliers(np.array(self._values))
        points = np.array(self._points + self._failed)
        values = np.concatenate([values, np.full(len(self._failed), values.min())])
        process = GaussianProcess(points, values)

        # a running trial counts as if it had returned the predicted mean, so that no other is proposed beside it
        if self._running:
            running = np.array(list(self._running.values()))
            points = np.concatenate([points, running])
            values = np.concatenate([values, process.predict(running)[0]])
            process = GaussianProcess(points, values)

        # draw candidates from the whole space and close to the best points
        predicted = process.predict(points)[0]
        best = points[np.argsort(-predicted)[:5]]
        near = self._rng.choice(best, _NEAR_BEST) + self._rng.normal(scale=_NEAR, size=(_NEAR_BEST, best.shape[1]))
        anywhere = self._rng.random((_CANDIDATES, best.shape[1]))
        candidates = np.array([self._space.snapped(point) for point in np.clip(np.concatenate([anywhere, near]), 0, 1)])

        mean, deviation = process.predict(candidates)
        chosen: Array = candidates[expected_improvement(mean, deviation, best=float(predicted.max())).argmax()]
        return chosen


def _clip_outliers(values: Array) -> Array:
    """Raise low outliers to Tukey's outer fence: beside one diverged trial all the others would look alike."""
    low, high = np.quantile(values, [0.25, 0.75])
    return values if low == high else np.maximum(values, low - 3 * (high - low))


def _spread(number: int, *, start: Array) -> Array:
    """Return point `number` of a sequence that fills the unit cube evenly.

    Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences" (2018): multiples of the powers of a generalised
    golden ratio.
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
