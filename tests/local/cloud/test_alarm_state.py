"""The state of an alarm by its datapoints: the two tables of CloudWatch's user guide on missing data."""

from __future__ import annotations

import pytest

from local.cloud.alarm_state import state_of

TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
RETAINED = "retained"


def points(text: str) -> list[bool | None]:
    """`X` breaches the threshold, `0` does not, `-` is missing."""
    return [{"X": True, "0": False, "-": None}[sign] for sign in text.split()]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("0 - X - X", ("OK", "OK", "OK", "OK")),
        ("- - - - 0", ("OK", "OK", "OK", "OK")),
        ("- - - - -", ("INSUFFICIENT_DATA", RETAINED, "ALARM", "OK")),
        ("0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("- - X - -", ("ALARM", RETAINED, "ALARM", "OK")),
    ],
)
def test_three_of_three(data: str, expected: tuple[str, ...]) -> None:
    assert states(data, needed=3) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0 - X - -", ("OK", "OK", "ALARM", "OK")),
        ("- - - - 0", ("OK", "OK", "ALARM", "OK")),
        ("- - - X -", ("ALARM", RETAINED, "ALARM", "OK")),
    ],
)
def test_two_of_three(data: str, expected: tuple[str, ...]) -> None:
    assert states(data, needed=2) == expected


def states(data: str, *, needed: int) -> tuple[str, ...]:
    return tuple(
        state_of(points(data), periods=3, needed=needed, treat_missing=treatment, before=RETAINED)
        for treatment in TREATMENTS
    )
