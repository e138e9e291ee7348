"""The model of Bayesian search: a Gaussian process over the unit cube, and the expected improvement.

The model is scikit-learn's `GaussianProcessRegressor` with the usual kernel of Bayesian optimisation: a Matern kernel
of smoothness 5/2 with one length scale per dimension, plus noise (Snoek et al., "Practical Bayesian Optimization of
Machine Learning Algorithms", 2012).

The kernel's parameters are maximum a posteriori estimates. With maximum likelihood estimates, which scikit-learn makes
by default, about one search in ten of benchmarks/search_trials.py did not come within 1 % of the best in 100 trials:
from a few trials, they may explain every difference as noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

__all__ = ["GaussianProcess", "expected_improvement"]

Array = NDArray[np.float64]

# Log-normal priors of the kernel's parameters, for standardised values: the median, and the standard deviation of the
# logarithm. Variances have twice the spread of the standard deviations they are squares of.
_SIGNAL_VARIANCE: Final = (1.0, 1.0)
_LENGTH_SCALE: Final = (0.4, 0.8)
_NOISE_VARIANCE: Final = (0.01, 1.6)

_BOUNDS: Final = (1e-8, 1e8)
"""Bounds of every parameter, far enough out that the priors decide."""

_LARGE: Final = 150
"""Measurements beyond which the kernel is fitted to an even selection of them: the cost grows with their cube."""


class GaussianProcess:
    """A Gaussian process fitted to points (n, dimensions) of the unit cube and the values (n,) measured there."""

    def __init__(self, points: Array, values: Array) -> None:
        selection = np.unique(np.linspace(0, len(points) - 1, num=min(len(points), _LARGE)).astype(int))
        fitted = _regressor(_kernel(points.shape[1]), optimizer=_maximum_a_posteriori)
        fitted.fit(points[selection], values[selection])

        self._regressor = fitted
        if len(selection) < len(points):
            self._regressor = _regressor(fitted.kernel_, optimizer=None).fit(points, values)

        # scikit-learn standardises values, or leaves constant ones at their scale.
        self._noise_variance = float(fitted.kernel_.k2.noise_level) * (float(values.var()) or 1.0)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Return the mean and the standard deviation of the surface at `points` (m, dimensions), each (m,).

        The deviation is that of the surface itself, without the noise of a measurement.
        """
        mean, deviation = self._regressor.predict(points, return_std=True)
        return mean, np.sqrt(np.maximum(np.square(deviation) - self._noise_variance, 1e-12))


def expected_improvement(mean: Array, deviation: Array, *, best: float) -> Array:
    """Return by how much a measurement is expected to exceed `best`, where one below it counts as no improvement."""
    gain = (mean - best) / deviation
    density = np.exp(-np.square(gain) / 2) / math.sqrt(2 * math.pi)
    improvement: Array = deviation * (gain * ndtr(gain) + density)
    return improvement


def _kernel(dimensions: int) -> Any:
    length_scales = [_LENGTH_SCALE[0]] * dimensions
    matern = Matern(length_scale=length_scales, length_scale_bounds=_BOUNDS, nu=2.5)
    return ConstantKernel(_SIGNAL_VARIANCE[0], _BOUNDS) * matern + WhiteKernel(_NOISE_VARIANCE[0], _BOUNDS)


def _regressor(kernel: Any, *, optimizer: Callable[..., tuple[Array, float]] | None) -> Any:
    return GaussianProcessRegressor(kernel, optimizer=optimizer, normalize_y=True)


def _maximum_a_posteriori(
    negative_log_likelihood: Callable[[Array], tuple[float, Array]], start: Array, bounds: Array
) -> tuple[Array, float]:
    """Optimise the logarithms of the kernel's parameters, in the form of `GaussianProcessRegressor(optimizer=…)`."""
    # the order of the parameters is that of the kernel: signal, length scales, noise
    priors = [_SIGNAL_VARIANCE, *[_LENGTH_SCALE] * (len(start) - 2), _NOISE_VARIANCE]
    medians, spreads = np.array(priors).T

    def negative_log_posterior(parameters: Array) -> tuple[float, Array]:
        cost, gradient = negative_log_likelihood(parameters)
        distance = (parameters - np.log(medians)) / spreads
        return cost + 0.5 * float(distance @ distance), gradient + distance / spreads

    found = minimize(negative_log_posterior, start, jac=True, bounds=bounds, method="L-BFGS-B")
    return found.x, float(found.fun)
