"""The release lock: an object in the data bucket that names who may change the endpoint, one at a time.

It is taken and given back with S3's conditional writes (`If-None-Match`, `If-Match`), and never deleted. A run holds it
from the last look at its verdict to the end of its release, `whippet rollback` while the endpoint changes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal, TypedDict

from contract.names import RELEASES_PREFIX

__all__ = ["NO_HOLDER", "TIDYING", "LockAction", "ReleaseLock", "release_lock_key"]

NO_HOLDER: Final = ""
"""`ReleaseLock.holder` of a lock that is free."""

TIDYING: Final = timedelta(hours=1)
"""How long the tidy-up may take after a run's end: three invocations of 15 minutes, and the pauses between them. Until
then it may be changing the endpoint, and it gives the lock back when it has done so."""

LockAction = Literal["take", "give-back"]


class ReleaseLock(TypedDict):
    """The content of the lock's object."""

    holder: str
    """ARN of the execution, or what names a command; `NO_HOLDER` where the lock is free."""
    run: str
    """The run whose model is put into service; empty where the lock is free."""
    at: str
    """When it was taken or given back, ISO 8601. With it no two contents, and so no two ETags, are the same."""
    until: str
    """When a command's hold lapses, ISO 8601; empty for an execution, which Step Functions can be asked about."""


def release_lock_key(prefix: str) -> str:
    """Return the key of an environment's lock; `ReleaseChange.of_key` takes it for no record."""
    return f"{RELEASES_PREFIX}lock_{prefix}.json"
