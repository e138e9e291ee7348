"""Metric math of alarms."""

from __future__ import annotations

import pytest

from local.cloud.metric_math import Expression, ExpressionError

RATE = "IF(requests >= 10, 100 * errors / requests, 0)"


@pytest.mark.parametrize(
    ("text", "metrics", "value"),
    [
        (RATE, {"requests": 50.0, "errors": 2.0}, 4.0),
        (RATE, {"requests": 5.0, "errors": 5.0}, 0.0),
        (RATE, {"requests": None, "errors": 5.0}, None),
        ("errors / requests", {"requests": 0.0, "errors": 5.0}, None),
        ("FILL(errors, 0) + 1", {"errors": None}, 1.0),
        ("FILL(errors, 0) + 1", {"errors": 3.0}, 4.0),
        ("-(a - b) ^ 2", {"a": 5.0, "b": 2.0}, -9.0),
        ("a > b", {"a": 5.0, "b": 2.0}, 1.0),
        ("9 ^ 9 ^ 9 ^ 9", {}, None),
    ],
)
def test_values(text: str, metrics: dict[str, float | None], value: float | None) -> None:
    assert Expression(text).value(metrics) == value


def test_names_are_those_of_metrics() -> None:
    assert Expression(RATE).names == {"requests", "errors"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SEARCH('x', 'Sum', 60)", "cannot evaluate 'SEARCH"),
        ("IF(a, b)", "IF with three arguments"),
        ("a +", "is no expression of metric math"),
        ("__import__('os').system('true')", "cannot evaluate"),
        ("a and b", "cannot evaluate 'a and b'"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem.replace("(", r"\(")):
        Expression(text)
