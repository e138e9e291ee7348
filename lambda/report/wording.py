"""Numbers as people read them: the filters of the templates."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

__all__ = ["FILTERS"]

_NONE = "\N{EN DASH}"
_UNITS = ("B", "kB", "MB", "GB", "TB")


def _number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many significant digits, or `not a number`, which a loss may be."""
    if value is None:
        return _NONE
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def _percent(share: float | None, digits: int = 1) -> str:
    if share is None or not math.isfinite(share):
        return _NONE
    return f"{share:.{digits}%}"


def _duration(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return _NONE
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _usd(amount: float | None) -> str:
    if amount is None:
        return "no price known"
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:.2f}" if amount >= 0.1 else f"${amount:.4f}"


def _size(count: float | None) -> str:
    if count is None:
        return _NONE
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {_UNITS[unit]}"


def _date(moment: datetime, with_time: bool = False) -> str:
    return f"{moment.day} {moment:%B %Y}" + (f", {moment.astimezone(UTC):%H:%M}" if with_time else "")


def _shortened(text: str) -> str:
    """Return a hyperparameter's text; SageMaker writes numbers with up to seventeen digits."""
    try:
        return _number(float(text))
    except ValueError:
        return text


FILTERS: dict[str, Callable[..., Any]] = {
    "date": _date,
    "duration": _duration,
    "number": _number,
    "percent": _percent,
    "shortened": _shortened,
    "size": _size,
    "usd": _usd,
}
"""The templates' filters by their names."""
