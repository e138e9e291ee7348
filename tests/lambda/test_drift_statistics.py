"""The two-sample tests: known values, and how often a check is wrong, by simulation."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from check_drift.comparison import FALSE_ALARMS, Answers, compare
from check_drift.statistics import chi_squared_tail, compare_numbers, compare_shares, kolmogorov_tail, wilson

import contract

CHECKS = 300
NAMES = [f"class-{number}" for number in range(12)]


@pytest.mark.parametrize(
    ("statistic", "degrees", "probability"),
    [
        # Abramowitz and Stegun, table 26.8
        (3.84146, 1, 0.05),
        (6.63490, 1, 0.01),
        (18.3070, 10, 0.05),
        (3.94030, 10, 0.95),
        (124.342, 100, 0.05),
        (149.449, 100, 0.001),
    ],
)
def test_the_chi_squared_distribution(statistic: float, degrees: int, probability: float) -> None:
    assert chi_squared_tail(statistic, degrees) == pytest.approx(probability, rel=1e-4)


@pytest.mark.parametrize(("value", "probability"), [(1.3581, 0.05), (1.6276, 0.01), (1.9495, 0.001), (0.1, 1.0)])
def test_the_kolmogorov_distribution(value: float, probability: float) -> None:
    """Smirnov's table of 1948."""
    assert kolmogorov_tail(value) == pytest.approx(probability, rel=1e-3)


def test_wilsons_interval() -> None:
    """Newcombe 1998, table I: 81 of 263, and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_equal_samples_do_not_differ() -> None:
    assert compare_shares({"a": 30, "b": 70}, {"a": 30, "b": 70}) == (0.0, 1.0)
    assert compare_numbers([1, 2, 2, 3], [1, 2, 2, 3]) == (0.0, 1.0)


def test_a_table_with_two_columns() -> None:
    """Pearson's statistic of 30:70 against 50:50 is 8.3333, its p-value 0.00389."""
    assert compare_shares({"a": 30, "b": 70}, {"a": 50, "b": 50}) == pytest.approx((0.2, 0.003892), rel=1e-3)


def test_rare_classes_are_pooled() -> None:
    """A thousand classes that are seen once or twice are no drift, however unlike they look one by one."""
    rng = random.Random(1)
    names = [str(number) for number in range(1000)]
    first, second = (Counter(rng.choices(names, k=200)) for _ in range(2))
    assert compare_shares(first, second)[1] > 0.01


def test_the_largest_gap_of_two_samples_with_ties() -> None:
    assert compare_numbers([1, 1, 1, 1], [1, 1, 2, 2])[0] == 0.5


def answers(
    rng: random.Random, number: int, *, weights: list[float], sharpness: float = 8, far: float = 0.05
) -> Answers:
    """Answers as a model gives them: confidences near 1 with ties, and distances of which a share is above 1."""
    found = Answers()
    for label in rng.choices(NAMES, weights, k=number):
        distance = rng.uniform(1, 2) if rng.random() < far else rng.betavariate(4, 4)
        found.add(label, round(rng.betavariate(sharpness, 1), 2), distance)
    return found


SAME = [1.0] * 12


@pytest.mark.parametrize(("test_photos", "captured"), [(60, 100), (200, 120), (1500, 800)])
def test_where_nothing_drifts_at_most_one_check_in_a_hundred_says_so(test_photos: int, captured: int) -> None:
    """Even where every difference counts, however small."""
    rng = random.Random(7)
    checks = CHECKS if test_photos < 1000 else CHECKS // 5
    wrong = 0
    for _ in range(checks):
        test, sample = (answers(rng, size, weights=SAME) for size in (test_photos, captured))
        found = compare(test, sample, counting=contract.DRIFT_MEASURES, smallest=0)
        wrong += any(measured["drifted"] for measured in found)
    assert wrong <= checks / 100
    assert FALSE_ALARMS <= 0.01


def found_in(seed: int, **drift: object) -> Counter[str]:
    """How often each measure drifts in 20 checks of 500 answers beside 400 test photos."""
    rng, found = random.Random(seed), Counter[str]()
    for _ in range(20):
        test = answers(rng, 400, weights=SAME)
        sample = answers(rng, 500, **{"weights": SAME, **drift})  # type: ignore[arg-type]
        measures = compare(test, sample, counting=contract.DRIFT_MEASURES, smallest=0.1)
        found.update(measured["measure"] for measured in measures if measured["drifted"])
    return found


def test_clear_drift_is_found_by_the_measure_that_it_belongs_to() -> None:
    """A class that comes four times as often, doubtful answers, and every fourth photo of something else."""
    assert found_in(11, weights=[4.0] + [1.0] * 11) == {"class_mix": 20}
    assert found_in(12, sharpness=3) == {"confidence": 20}
    assert found_in(13, far=0.3) == {"distance": 20}


def test_a_difference_that_is_no_chance_but_small_does_not_count() -> None:
    rng = random.Random(5)
    test = answers(rng, 5000, weights=SAME)
    sample = answers(rng, 8000, weights=[1.4] + [1.0] * 11)
    (mix, *_) = compare(test, sample, counting=contract.DRIFT_MEASURES, smallest=0.1)
    assert mix["p_value"] < 0.001
    assert not mix["drifted"]


def test_a_measure_that_does_not_count_is_shown_all_the_same() -> None:
    rng = random.Random(6)
    test, sample = answers(rng, 400, weights=SAME), answers(rng, 500, weights=[9.0] + [1.0] * 11)
    measures = compare(test, sample, counting=["confidence"], smallest=0.1)
    assert [measured["drifted"] for measured in measures] == [False, False, False]
    assert measures[0]["difference"] > 0.2
