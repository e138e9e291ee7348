"""McNemar's exact test against numbers of scipy.stats.binomtest(losses, losses + wins, 0.5, alternative="greater")."""

from __future__ import annotations

import pytest
from verdict.service_comparison import mcnemar


@pytest.mark.parametrize(
    ("losses", "wins", "p_value"),
    [
        (0, 0, 1.0),
        (0, 7, 1.0),
        (5, 5, 0.623046875),
        (10, 2, 0.019287109375),
        (20, 8, 0.017849069088697433),
        (60, 40, 0.028443966820490444),
        (1050, 950, 0.013412073120140273),
        (55_000, 54_000, 0.0012394606291682168),
    ],
)
def test_the_probability_is_exact(losses: int, wins: int, p_value: float) -> None:
    assert mcnemar(losses, wins) == pytest.approx(p_value, rel=1e-7)
