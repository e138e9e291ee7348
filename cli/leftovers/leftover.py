"""One thing that an environment left behind, and the patterns of the names by which it is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["Bill", "Finder", "Leftover", "OwnNames"]

Bill = Literal["by the hour", "1 dollar a month", "0.20 dollars a month", "storage", "nothing"]
"""What is paid for a thing that nobody uses."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A thing in the account that an environment made."""

    kind: str
    """What it is, in the words of AWS's console: `endpoint`, `log group`."""
    name: str
    bill: Bill
    remove: Callable[[], None] | None
    """Removes it for good, and returns when it is gone; None where it has to stay."""
    why: str = ""
    """Why it stays, or what to know before it is removed."""
    is_data: bool = False
    """Whether it holds a person's photos, models and results, which are removed only by a word of its own."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


Finder = Callable[["Target"], Iterator[Leftover]]
"""Looks for some kinds of things, in the order in which they are to be removed."""


@dataclass(frozen=True)
class OwnNames:
    """Names of what an environment made. AWS marks what a stack made only as long as it stands."""

    prefix: str
    stack: str

    def is_of_run(self, name: str) -> bool:
        """Tell whether a run or the endpoint has this name: IAM lets the environment make no others."""
        return name == self.prefix or name.startswith(f"{self.prefix}-")

    def is_of_stack(self, name: str) -> bool:
        """Tell whether CloudFormation may have made up this name: of stack, logical ID and chance."""
        return re.fullmatch(rf"{re.escape(self.stack)}-[A-Za-z0-9]+-[A-Za-z0-9]+", name) is not None

    def is_own(self, name: str) -> bool:
        """Tell whether a run or CloudFormation made the name."""
        return self.is_of_run(name) or self.is_of_stack(name)

    def is_data_bucket(self, name: str) -> bool:
        """Tell whether a bucket is one that the environment's stack made for its photos."""
        return re.fullmatch(rf"{re.escape(self.stack.lower())}-datasetbucket[0-9a-f]+-[a-z0-9]+", name) is not None

    @classmethod
    def of(cls, target: Target) -> OwnNames:
        """Return the names of a target's environment."""
        return cls(target.settings.prefix, target.settings.stack_name)


def names(client: Any, operation: str, member: str, name: str, **parameters: Any) -> Iterator[str]:
    """Yield the names on every page of a list.

    Args:
        client: boto3's client of the service.
        operation: The list operation, such as `list_models`.
        member: The member of its answer that holds the list.
        name: The member of an item that holds its name.
        parameters: What is given to the operation.
    """
    for page in client.get_paginator(operation).paginate(**parameters):
        for item in page[member]:
            yield item[name]
