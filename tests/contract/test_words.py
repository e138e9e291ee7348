"""Numbers with what they count."""

from __future__ import annotations

import pytest

from contract import counted


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("photo",), "0 photos"),
        (1, ("photo",), "1 photo"),
        (1234, ("photo",), "1,234 photos"),
        (1, ("class",), "1 class"),
        (2, ("class",), "2 classes"),
        (2, ("copy", "copies"), "2 copies"),
    ],
)
def test_one_is_told_in_the_singular(number: int, words: tuple[str, ...], said: str) -> None:
    assert counted(number, *words) == said
