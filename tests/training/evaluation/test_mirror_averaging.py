from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.evaluation.calibration import softmax
from training.evaluation.mirror_averaging import averaged, describe, mirror_averaging


def probabilities(*right: float) -> NDArray[np.float32]:
    """Of two classes, the first of which is the true one."""
    return np.array([[share, 1 - share] for share in right], dtype=np.float32)


def test_logits_are_averaged_whatever_the_temperature() -> None:
    rng = np.random.default_rng(0)
    plain, mirrored = rng.normal(scale=4, size=(2, 20, 5))
    for temperature in (0.5, 1.0, 3.0):
        found = averaged(softmax(plain / temperature), softmax(mirrored / temperature))
        np.testing.assert_allclose(found, softmax((plain + mirrored) / 2 / temperature), atol=1e-9)


def test_a_probability_of_zero_is_no_infinite_logit() -> None:
    assert np.isfinite(averaged(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]))).all()


def test_gain_and_error_are_of_the_photos_one_by_one() -> None:
    """The mirror images put the second photo right, and change nothing else."""
    plain, mirrored = probabilities(0.9, 0.4, 0.8, 0.3), probabilities(0.9, 0.9, 0.8, 0.3)
    found = mirror_averaging(plain, mirrored, np.zeros(4, dtype=np.int64), served=False, milliseconds=(10.0, 19.5))
    assert (found["images"], found["served"]) == (4, False)
    assert (found["accuracy"], found["averaged_accuracy"]) == (0.5, 0.75)
    assert found["accuracy_gain_error"] == pytest.approx(0.25)  # one photo of four, as 0.5 of deviation over 2
    both = np.sqrt(0.4 * 0.9) / (np.sqrt(0.4 * 0.9) + np.sqrt(0.6 * 0.1))
    assert found["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.3]).mean(), abs=1e-6)
    assert found["averaged_loss"] == pytest.approx(-np.log([0.9, both, 0.8, 0.3]).mean(), abs=1e-6)
    assert found["loss_gain_error"] == pytest.approx(np.log(both / 0.4) / 4, abs=1e-6)
    assert (found["milliseconds"], found["averaged_milliseconds"]) == (10.0, 19.5)


def test_the_log_says_what_it_brings_and_costs() -> None:
    plain, mirrored = probabilities(0.9, 0.4), probabilities(0.9, 0.9)
    found = mirror_averaging(plain, mirrored, np.zeros(2, dtype=np.int64), served=True, milliseconds=(10.0, 19.5))
    said = describe(found)
    assert "mirror averaging (served): accuracy 0.5000 -> 1.0000 (standard error of the difference 0.5000)" in said
    assert "10.0 -> 19.5 ms a photo; in float32, on 2 validation photos" in said
    assert "(not served)" in describe({**found, "served": False})
