"""Sets of labels: thresholds by hand, promises kept on photos that are drawn, and what few photos cannot promise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import contract
from training.evaluation.coverage import coverage_table, label_sets, lowest_score, measure_coverage


@pytest.mark.parametrize(
    ("photos", "level", "place"),
    [(9, 0.9, 9), (9, 0.5, 5), (19, 0.95, 19), (99, 0.95, 95), (100, 0.95, 96), (8, 0.9, None), (0, 0.5, None)],
)
def test_the_lowest_score_is_the_one_of_split_conformal_prediction(
    photos: int, level: float, place: int | None
) -> None:
    """The ceil((n + 1) x level)-th largest of n scores."""
    scores = np.random.default_rng(0).permutation(np.arange(1, photos + 1) / 1000)
    expected = None if place is None else sorted(scores, reverse=True)[place - 1]
    assert lowest_score(scores, level=level) == expected


def test_the_table_goes_as_far_as_the_photos_allow() -> None:
    labels = np.zeros(19, dtype=np.int64)
    probabilities = np.stack([np.linspace(0.05, 0.95, 19), 1 - np.linspace(0.05, 0.95, 19)], axis=1)
    table = coverage_table(probabilities, labels)
    assert table is not None
    assert table["photos"] == 19
    assert (table["levels"][0], table["levels"][-1]) == (0.5, 0.95)
    assert len(table["levels"]) == len(table["lowest_scores"]) == 451
    assert table["lowest_scores"] == sorted(table["lowest_scores"], reverse=True)
    assert table["lowest_scores"][-1] == pytest.approx(0.05, abs=1e-6)
    assert table["lowest_scores"][-1] <= 0.05, "rounded down, never up"
    assert table["lowest_scores"][0] == pytest.approx(0.5, abs=1e-6)


def test_the_table_ends_at_the_highest_coverage_that_may_be_asked_for() -> None:
    table = coverage_table(np.linspace(0, 1, 2000)[:, np.newaxis], np.zeros(2000, dtype=np.int64))
    assert table is not None
    assert (table["levels"][0], table["levels"][-1]) == (contract.MIN_COVERAGE, contract.MAX_COVERAGE)


def test_no_photo_promises_anything() -> None:
    assert coverage_table(np.empty((0, 3)), np.empty(0, dtype=np.int64)) is None
    assert measure_coverage(None, np.full((2, 2), 0.5), np.zeros(2, dtype=np.int64)) == []


@pytest.mark.parametrize(("score", "lowest"), [(0.25, 0.25), (1 / 3, 0.3333333), (2 / 3, 0.6666666)])
def test_one_photo_promises_a_half_and_no_rounding_breaks_it(score: float, lowest: float) -> None:
    table = coverage_table(np.array([[score, 1 - score]]), np.array([0]))
    assert table == {"photos": 1, "levels": [0.5], "lowest_scores": [lowest]}


def test_the_likeliest_label_is_always_in_the_set() -> None:
    probabilities = np.array([[0.4, 0.35, 0.25], [0.8, 0.15, 0.05]], dtype=np.float32)
    assert label_sets(probabilities, lowest=0.9).tolist() == [[True, False, False], [True, False, False]]
    assert label_sets(probabilities, lowest=0.25).tolist() == [[True, True, True], [True, False, False]]
    assert label_sets(probabilities, lowest=0.0).all()


def doubtful(photos: int, *, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities that are true: each photo's label is drawn from its own."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(10, 0.3), size=photos)
    return probabilities, np.array([rng.choice(10, p=row) for row in probabilities])


def test_promises_are_kept_on_photos_like_the_held_out_ones() -> None:
    test, labels = doubtful(4000, seed=0)
    measured = [measure_coverage(coverage_table(*doubtful(300, seed=seed)), test, labels) for seed in range(1, 9)]
    for place, promised in enumerate((0.90, 0.95, 0.98)):
        of_level = [each[place] for each in measured]
        assert {each["promised"] for each in of_level} == {promised}
        assert np.mean([each["realised"] for each in of_level]) == pytest.approx(promised, abs=0.015)
    sizes = [each["mean_labels"] for each in measured[0]]
    assert sizes == sorted(sizes)
    assert 1 < sizes[0] < sizes[-1] < 10


def test_levels_beyond_the_photos_are_not_measured() -> None:
    table = coverage_table(*doubtful(30, seed=1))
    assert [each["promised"] for each in measure_coverage(table, *doubtful(100, seed=0))] == [0.90, 0.95]
