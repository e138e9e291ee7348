"""Calls that wait where AWS throttles the account, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError

from .aws_errors import is_throttled
from .custom_resource import Deadline

__all__ = ["LONGEST_CALL_SECONDS", "PATIENT", "patiently"]

Answer = TypeVar("Answer")

_ATTEMPTS: Final = 4
_CONNECT_SECONDS: Final = 3
_READ_SECONDS: Final = 10
_PAUSE_SECONDS: Final = 5.0

PATIENT: Final = Config(
    retries={"mode": "adaptive", "total_max_attempts": _ATTEMPTS},
    connect_timeout=_CONNECT_SECONDS,
    read_timeout=_READ_SECONDS,
)
"""Configuration of a client that slows down when AWS throttles it, and gives up in `LONGEST_CALL_SECONDS`."""

LONGEST_CALL_SECONDS: Final = 70.0
"""How long one call of a `PATIENT` client can take: four attempts of 13 s, pauses of 1, 2 and 4 s at most between them,
and 2 s before each, in which the adaptive mode holds a request back (its slowest rate is one in two seconds)."""


def patiently(call: Callable[[], Answer], *, deadline: Deadline, doing: str) -> Answer:
    """Return what `call` returns, and call it again after a pause for as long as AWS throttles it.

    Raises:
        OutOfTime: the function's time is over; the message says that it was `doing` this.
    """
    while True:
        deadline.check(doing)
        try:
            return call()
        except ClientError as error:
            if not is_throttled(error):
                raise
        time.sleep(_PAUSE_SECONDS)
