"""Intervals of shares, beside those that others have published."""

from __future__ import annotations

import pytest

from training.evaluation.intervals import wilson


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_it_is_the_published_interval(right: int, images: int, low: float, high: float) -> None:
    interval = wilson(right, images)
    assert [interval["low"], interval["high"]] == pytest.approx([low, high], abs=6e-5)


def test_six_of_six_do_not_prove_that_all_are_right() -> None:
    interval = wilson(6, 6)
    assert interval["low"] == pytest.approx(0.6097, abs=5e-4)
    assert interval["high"] == 1.0


def test_no_photo_tells_nothing() -> None:
    assert wilson(0, 0) == {"low": 0.0, "high": 1.0, "level": 0.95}
