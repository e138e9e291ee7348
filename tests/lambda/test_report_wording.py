from __future__ import annotations

import pytest
from report.wording import FILTERS

NONE = "\N{EN DASH}"


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("number", 1234567, "1,234,567"),
        ("number", 0.012345678, "0.01235"),
        ("number", 12345.678, "12,346"),
        ("number", float("nan"), "not a number"),
        ("number", float("inf"), "infinite"),
        ("number", None, NONE),
        ("percent", 0.8514, "85.1%"),
        ("percent", float("nan"), NONE),
        ("duration", 0.0131, "13.1 ms"),
        ("duration", 19.63, "19.6 s"),
        ("duration", 158, "2 min 38 s"),
        ("duration", 3 * 3600 + 61, "3 h 1 min"),
        ("duration", None, NONE),
        ("usd", 0.0612, "$0.0612"),
        ("usd", 83.95, "$83.95"),
        ("usd", 1234.5, "$1,234"),
        ("usd", None, "no price known"),
        ("size", 1_840_000, "1.84 MB"),
        ("size", 12, "12 B"),
        ("shortened", "0.012599999999999998", "0.0126"),
        ("shortened", "nothing", "nothing"),
    ],
)
def test_numbers_are_put_as_people_read_them(kind: str, value: object, words: str) -> None:
    assert FILTERS[kind](value) == words
