from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.evaluation.calibration import expected_calibration_error, fit_temperature, reliability, rescaled, softmax


def drawn(images: int, *, classes: int = 5, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits, and labels drawn with exactly the probabilities the logits give."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(images, classes))
    chosen = softmax(logits).cumsum(axis=1) > rng.random((images, 1))
    return logits, chosen.argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_finds_the_temperature_that_was_taken_away(temperature: float) -> None:
    logits, labels = drawn(5000)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.1)


def test_scores_are_frequencies_after_scaling() -> None:
    logits, labels = drawn(5000)
    too_sure = softmax(4 * logits)
    before = expected_calibration_error(reliability(too_sure, labels))
    scaled = rescaled(too_sure, temperature=fit_temperature(4 * logits, labels))
    after = expected_calibration_error(reliability(scaled, labels))
    assert before > 0.2
    assert after < 0.03
    assert (scaled.argmax(axis=1) == too_sure.argmax(axis=1)).all()


def test_a_perfect_score_on_a_few_photos_does_not_make_the_model_sure_for_ever() -> None:
    logits = np.eye(4) * 3
    assert 0.2 < fit_temperature(logits, np.arange(4)) < 1


def test_huge_logits_do_not_overflow() -> None:
    logits, labels = drawn(200)
    with np.errstate(all="raise", under="ignore"):
        assert fit_temperature(1e4 * logits, labels) == pytest.approx(10, rel=0.01)


def test_rescaling_is_dividing_the_logits() -> None:
    logits, _ = drawn(10)
    np.testing.assert_allclose(rescaled(softmax(logits), temperature=2.5), softmax(logits / 2.5), rtol=1e-6)


def test_bins_hold_what_falls_into_them_and_one_is_in_the_last() -> None:
    probabilities = np.array([[1.0, 0.0], [0.62, 0.38], [0.61, 0.39]])
    bins = reliability(probabilities, np.array([0, 0, 1]))
    assert [entry["images"] for entry in bins if entry["images"]] == [2, 1]
    middle = next(entry for entry in bins if entry["images"] == 2)
    assert middle["confidence"] == pytest.approx(0.615)
    assert middle["accuracy"] == 0.5
    assert bins[-1]["images"] == 1
    assert expected_calibration_error(bins) == pytest.approx(2 / 3 * 0.115)
