from __future__ import annotations

import random

import pytest
from report.sections.importance import importance, ranks


def test_ranks_share_the_mean_of_their_places() -> None:
    assert ranks([10.0, 30.0, 10.0, 20.0]) == [1.5, 4.0, 1.5, 3.0]


def test_a_best_value_in_the_middle_is_seen_by_the_parabola_and_not_by_the_rank_correlation() -> None:
    rates = [10 ** (-3 + place / 5) for place in range(11)]
    found = importance("rate", rates, [-float((place - 5) ** 2) for place in range(11)], logarithmic=True)
    assert found is not None
    assert found.explained == pytest.approx(1.0)
    assert found.correlation == pytest.approx(0.0, abs=1e-9)


def test_more_is_worse_gives_a_correlation_of_minus_one() -> None:
    found = importance("size", [16, 32, 64, 128, 256], [5.0, 4.0, 2.9, 2.0, 1.0], logarithmic=True)
    assert found is not None
    assert found.correlation == pytest.approx(-1.0)
    assert found.explained > 0.99


def test_what_has_nothing_to_do_with_the_objective_explains_next_to_nothing_on_average() -> None:
    chance = random.Random(0)
    shares = []
    for _ in range(300):
        found = importance(
            "seed", [chance.random() for _ in range(12)], [chance.random() for _ in range(12)], logarithmic=False
        )
        assert found is not None
        assert 0 <= found.explained <= 1
        shares.append(found.explained)
    assert sum(shares) / len(shares) < 0.12


def test_two_values_make_a_line_and_no_bend() -> None:
    found = importance("flip", [0, 1, 0, 1, 0, 1], [1.0, 2.0, 1.1, 2.1, 0.9, 1.9], logarithmic=False)
    assert found is not None
    assert 0.9 < found.explained < 1


@pytest.mark.parametrize(
    ("values", "objectives"),
    [([1, 2, 3, 4], [1, 2, 3, 4]), ([1] * 6, [1, 2, 3, 4, 5, 6]), ([1, 2, 3, 4, 5, 6], [1] * 6)],
    ids=["too few trials", "one value", "one objective"],
)
def test_where_nothing_can_be_said_nothing_is_said(values: list[float], objectives: list[float]) -> None:
    assert importance("x", values, objectives, logarithmic=False) is None
