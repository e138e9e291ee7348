"""Names on the pages of a list, and calls on what may have gone by itself meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from .aws_errors import has_ended, is_missing_resource
from .custom_resource import Deadline
from .patience import patiently

__all__ = ["call_unless_gone", "listed"]


def listed(
    pages: Iterable[Mapping[str, Any]], *, member: str, name: str, prefix: str = "", deadline: Deadline
) -> list[str]:
    """Return the names on the pages of a list that begin with the prefix; `NameContains` finds it anywhere.

    Args:
        pages: What a paginator returns. Each iteration asks AWS anew.
        member: The member of a page that holds the list.
        name: The member of an item that holds its name.
        prefix: What the names begin with.
        deadline: Looked at before each page.
    """
    doing = f"listing {member}"

    def names() -> list[str]:
        found: list[str] = []
        for page in pages:
            found += [item[name] for item in page[member] if item[name].startswith(prefix)]
            # the next page is another call
            deadline.check(doing)
        return found

    return patiently(names, deadline=deadline, doing=doing)


def call_unless_gone(call: Callable[..., object], *, deadline: Deadline, doing: str, **names: str) -> None:
    """Stop or delete a resource, which may have ended or gone by itself meanwhile."""
    try:
        patiently(lambda: call(**names), deadline=deadline, doing=doing)
    except ClientError as error:
        if not (is_missing_resource(error) or has_ended(error)):
            raise
