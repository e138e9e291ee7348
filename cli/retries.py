"""Requests that the API asks to make again: how often, and what is said meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

__all__ = ["LONGEST_WAIT", "ask_until_answered", "reason_of"]

LONGEST_WAIT: Final = 900.0
"""Seconds that pauses may take together. A serverless model wakes in up to two minutes; an endpoint, which wakes or is
new, in about `contract.WAKING_MINUTES`, and in more where its image is large."""

_ATTEMPTS_THAT_FAIL: Final = 3
"""Attempts that may end in a failure, such as a model that does not answer: waiting does not mend what fails always."""

_SLOW_AFTER: Final = 5.0
"""Seconds without an answer after which that is said."""

_COME_BACK: Final = (429, 503)
"""Statuses of a request that is refused for now. Others with a Retry-After are failures."""


def ask_until_answered(
    send: Callable[[], urllib3.BaseHTTPResponse], *, say: Callable[[str], None]
) -> urllib3.BaseHTTPResponse:
    """Send a request until the answer has no `Retry-After`, and return it, or the last one when patience ends.

    Args:
        send: makes the request, and may be called again.
        say: is told what is waited for, in a sentence.
    """
    waited, failures = 0.0, 0
    while True:
        with _saying_when_slow(say):
            response = send()
        pause = _pause(response)
        failures += response.status not in _COME_BACK
        if pause is None or failures == _ATTEMPTS_THAT_FAIL or waited + pause > LONGEST_WAIT:
            return response

        # the API's reason, without its advice, which is followed here
        reason = reason_of(response.data).split(";")[0].rstrip(".")
        say(f"{reason}; asking again in {pause:g} s")
        time.sleep(pause)
        waited += pause


def reason_of(body: bytes) -> str:
    """Return the detail of a problem+json body, or the beginning of any other."""
    try:
        problem = json.loads(body)
        return str(problem.get("detail") or problem.get("message") or problem)
    except (ValueError, AttributeError):
        return body[:500].decode("utf-8", "replace")


def _pause(response: urllib3.BaseHTTPResponse) -> float | None:
    """Return the seconds of a refusal's or failure's `Retry-After`; None where it has none."""
    given = response.headers.get("Retry-After", "")
    return float(given) if response.status >= 400 and given.isascii() and given.isdigit() else None


@contextmanager
def _saying_when_slow(say: Callable[[str], None]) -> Iterator[None]:
    words = f"no answer for {_SLOW_AFTER:g} s; the API answers after 29 s at the latest"
    timer = threading.Timer(_SLOW_AFTER, say, [words])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
