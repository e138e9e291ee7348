"""The model of Bayesian search: what it predicts from noisy measurements, and where it expects an improvement."""

from __future__ import annotations

import numpy as np
import pytest

from local.sagemaker.tuning.gaussian_process import Array, GaussianProcess, expected_improvement


def surface(points: Array) -> Array:
    values: Array = np.sin(4 * points[:, 0]) - points[:, 1] ** 2
    return values


@pytest.mark.parametrize("count", [40, 200])  # also more than the kernel is fitted to
def test_the_surface_is_found_below_the_noise(count: int) -> None:
    rng = np.random.default_rng(0)
    points = rng.random((count, 2))
    model = GaussianProcess(points, 10 + surface(points) + rng.normal(scale=0.1, size=count))
    asked = rng.uniform(0.1, 0.9, (50, 2))
    mean, deviation = model.predict(asked)
    error = mean - 10 - surface(asked)
    assert np.sqrt(np.square(error).mean()) < 0.07
    assert deviation.max() < 0.1, "the noise of a measurement is no part of the surface's deviation"
    assert np.abs(error / deviation).mean() < 2


def test_equal_measurements_leave_the_surface_as_it_is() -> None:
    mean, deviation = GaussianProcess(np.array([[0.1], [0.5], [0.9]]), np.full(3, 2.0)).predict(np.array([[0.3]]))
    assert mean == pytest.approx(2.0)
    assert np.isfinite(deviation).all()


def test_an_improvement_is_expected_where_the_mean_or_the_deviation_is_high() -> None:
    improvement = expected_improvement(np.array([0.0, 0.5, 0.0]), np.array([0.1, 0.1, 1.0]), best=0.4)
    assert improvement[0] < improvement[1] < improvement[2]
    assert expected_improvement(np.array([1.0]), np.array([1e-6]), best=0.4) == pytest.approx(0.6)
