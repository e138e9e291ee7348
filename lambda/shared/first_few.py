"""Long lists of names, shortened for error messages."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["first_few"]

_NAMED = 5


def first_few(names: Sequence[str]) -> str:
    """Return the first five names, and how many more there are: `a, b, c, d, e and 3 more`."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
