"""Words that several parts say alike."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with what it counts, such as `1 photo`, `1,234 photos` or `2 classes`.

    Args:
        number: How many.
        one: What one of them is called.
        many: What several are called, where that is not `one` with an s, or with es after an s.
    """
    return f"{number:,} {one if number == 1 else many or one + ('es' if one.endswith('s') else 's')}"
