"""Schedule expressions of EventBridge Scheduler: what is one, and how often it comes in a month at most.

Source: "Schedule types in EventBridge Scheduler" (user guide): `rate(value unit)`, and `cron` with the six fields
minutes, hours, day of month, month, day of week, year, of which exactly one of the days is `?`.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ScheduleError", "check_schedule", "runs_a_month"]

_DAYS: Final = 31
"""Of the longest month."""
_UNITS: Final = {"minute": 1, "hour": 60, "day": 24 * 60}
_SHORTEST_RATE: Final = 60
"""Minutes: a run takes longer than that in nearly all cases, and none is started while one goes on."""

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: Final = (
    ("minutes", 0, 59, ()),
    ("hours", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 1, 7, _WEEKDAYS),
    ("year", 1970, 2199, ()),
)
_EXAMPLES: Final = "such as rate(7 days), or cron(0 3 ? * SUN *) for Sundays at three"


class ScheduleError(ValueError):
    """The text is no schedule expression; the message says what is wrong and gives examples."""


def check_schedule(expression: str) -> None:
    """Check a schedule expression.

    Raises:
        ScheduleError: EventBridge Scheduler would refuse it, or it comes more often than once an hour by a rate.
    """
    runs_a_month(expression)


def runs_a_month(expression: str) -> int:
    """Return how often a schedule comes in a month at most.

    Raises:
        ScheduleError: as `check_schedule`.
    """
    if match := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        minutes = int(match[1]) * _UNITS[match[2]]
        if minutes < _SHORTEST_RATE:
            raise ScheduleError(f"{expression} comes more often than once an hour; give a longer rate, {_EXAMPLES}")
        return -(-_DAYS * 24 * 60 // minutes)
    match = re.fullmatch(r"cron\(([^()]+)\)", expression)
    if match is None:
        raise ScheduleError(f"{expression} is neither rate(VALUE UNIT) nor cron(FIELDS); give one, {_EXAMPLES}")

    fields = match[1].split()
    if len(fields) != len(_FIELDS):
        names = ", ".join(name for name, *_ in _FIELDS)
        raise ScheduleError(f"{expression} has {len(fields)} fields instead of the six {names}; write one {_EXAMPLES}")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ScheduleError(
            f"{expression} needs ? as exactly one of day of month and day of week, the third and the fifth field, "
            f"{_EXAMPLES}"
        )
    counts = [
        1 if text == "?" and name.startswith("day") else _count(text, expression, name, low, high, names)
        for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True)
    ]
    # a weekday comes five times in a month at most, unless one of the five is named
    weeks = 1 if "#" in fields[4] or "L" in fields[4] else 5
    days = counts[2] if fields[4] == "?" else min(_DAYS, counts[4] * weeks)
    return counts[0] * counts[1] * days


def _count(text: str, expression: str, name: str, low: int, high: int, names: tuple[str, ...]) -> int:
    """Return how many values of its range a field names."""
    found: set[int] = set()
    for part in text.split(","):
        # the last day, the weekday nearest to a day, the last or the n-th of a weekday
        if name == "day of month" and re.fullmatch(r"L|([1-9]|[12]\d|3[01])W|LW", part):
            found.add(-len(found))
            continue
        special = re.fullmatch(r"(\w+?)(L|#[1-5])", part) if name == "day of week" else None
        if special and _number(special[1], low, high, names) is not None:
            found.add(-len(found))
            continue
        if name == "day of week" and part == "L":
            found.add(high)
            continue

        match = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        first = None if match is None else (low if match[1] == "*" else _number(match[1], low, high, names))
        if match is None or first is None or (match[1] == "*" and match[2]):
            raise _wrong(part, expression, name, low, high, names)
        last: int | None = high if match[1] == "*" or (match[3] and not match[2]) else first
        if match[2]:
            last = _number(match[2], low, high, names)
        step = int(match[3] or 1)
        if last is None or last < first or step == 0:
            raise _wrong(part, expression, name, low, high, names)
        found.update(range(first, last + 1, step))
    return len(found)


def _number(text: str, low: int, high: int, names: tuple[str, ...]) -> int | None:
    """Return the value of a number or a name; None where it is neither or lies outside."""
    if text.upper() in names:
        return low + names.index(text.upper())
    return int(text) if text.isdecimal() and low <= int(text) <= high else None


def _wrong(part: str, expression: str, name: str, low: int, high: int, names: tuple[str, ...]) -> ScheduleError:
    or_names = f" or {names[0]} to {names[-1]}" if names else ""
    return ScheduleError(f"{part!r} in {expression} is no {name}: give {low} to {high}{or_names}, {_EXAMPLES}")
