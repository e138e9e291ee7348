"""A Gaussian process: what a few noisy measurements say about the whole of a surface, and where to measure next.

The usual choices of Bayesian optimisation (Rasmussen and Williams 2006, chapters 2 and 5; Snoek et al. 2012): a Matern
kernel of smoothness 5/2 with a length for each dimension, its parameters at their most likely values, and the expected
improvement. Written out in NumPy because the libraries that have it bring PyTorch along: gigabytes, and seconds to
import, for matrices of a few dozen rows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["GaussianProcess", "expected_improvement"]

Array = NDArray[np.float64]

_LENGTH, _LENGTH_SPREAD = math.log(0.4), 0.8
"""Beforehand, a dimension's length is about 0.4 of its range, give or take a factor of 2 (log-normal)."""
_NOISE, _NOISE_SPREAD = math.log(0.1), 0.8
"""Beforehand, noise has about a tenth of the standard deviation of all measurements."""
_SIGNAL_SPREAD = 0.5
_JITTER = 1e-8
_FIRST_STEP, _LAST_STEP = 0.8, 0.1
_LARGE = 150
"""Measurements beyond which the kernel is fitted to an even selection of them: its cost grows with their cube."""


class GaussianProcess:
    """Fitted to points (n, dimensions) of the unit cube and what was measured there (n,)."""

    def __init__(self, points: Array, values: Array):
        self._points = points
        self._mean = float(values.mean())
        self._scale = float(values.std()) or 1.0
        standardised = (values - self._mean) / self._scale
        chosen = np.unique(np.linspace(0, len(points) - 1, num=min(len(points), _LARGE)).astype(int))
        self._parameters = _most_likely(points[chosen], standardised[chosen])
        self._lower = _cholesky(points, self._parameters)
        self._weights = _solve(self._lower, standardised)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the surface, without the noise of a measurement: (m,) each."""
        covariance = _kernel(points, self._points, self._parameters)
        explained = np.linalg.solve(self._lower, covariance.T)
        variance = np.exp(2 * self._parameters[-2]) - np.square(explained).sum(axis=0)
        mean = covariance @ self._weights
        return self._mean + self._scale * mean, self._scale * np.sqrt(np.maximum(variance, 1e-12))


def expected_improvement(mean: Array, deviation: Array, *, best: float) -> Array:
    """How much higher than `best` a measurement is to be expected, counting lower ones as no change."""
    gain = (mean - best) / deviation
    density = np.exp(-np.square(gain) / 2) / math.sqrt(2 * math.pi)
    return deviation * (gain * _normal_distribution(gain) + density)


def _normal_distribution(values: Array) -> Array:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in values])


def _kernel(left: Array, right: Array, parameters: Array) -> Array:
    """Parameters: logarithms of each dimension's length, of the signal's and of the noise's standard deviation."""
    lengths = np.exp(parameters[:-2])
    difference = (left[:, np.newaxis] - right[np.newaxis]) / lengths
    distance = np.sqrt(5 * np.square(difference).sum(axis=2))
    kernel: Array = np.exp(2 * parameters[-2]) * (1 + distance + np.square(distance) / 3) * np.exp(-distance)
    return kernel


def _cholesky(points: Array, parameters: Array) -> Array:
    noise = np.exp(2 * parameters[-1]) + _JITTER
    return np.linalg.cholesky(_kernel(points, points, parameters) + noise * np.eye(len(points)))


def _solve(lower: Array, values: Array) -> Array:
    return np.linalg.solve(lower.T, np.linalg.solve(lower, values))


def _cost(points: Array, values: Array, parameters: Array) -> float:
    """How unlikely the values are under the parameters, and the parameters beforehand (negative logarithm)."""
    lower = _cholesky(points, parameters)
    unlikely = 0.5 * values @ _solve(lower, values) + np.log(np.diag(lower)).sum()
    lengths = np.square((parameters[:-2] - _LENGTH) / _LENGTH_SPREAD).sum()
    signal, noise = parameters[-2] / _SIGNAL_SPREAD, (parameters[-1] - _NOISE) / _NOISE_SPREAD
    return float(unlikely + 0.5 * (lengths + signal**2 + noise**2))


def _most_likely(points: Array, values: Array) -> Array:
    """Pattern search: step along one parameter after the other while that helps, with ever smaller steps."""
    best = np.array([_LENGTH] * points.shape[1] + [0.0, _NOISE])
    cost, step = _cost(points, values, best), _FIRST_STEP
    while step >= _LAST_STEP:
        improved = False
        for index in range(len(best)):
            for sign in (1.0, -1.0):
                tried = best.copy()
                tried[index] += sign * step
                found = _cost(points, values, tried)
                if found < cost:
                    best, cost, improved = tried, found, True
                    break
        if not improved:
            step /= 2
    return best
