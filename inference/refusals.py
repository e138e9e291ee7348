"""The log of requests that are refused for want of room: a line a second instead of one a request.

There are most of them where processors are scarcest; what a line costs is taken from the answers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

__all__ = ["PAUSE_SECONDS", "Refusals"]

PAUSE_SECONDS: Final = 1.0
"""Seconds from the first refusal to the line that tells of it and of those after it."""

_log = logging.getLogger("inference")


class Refusals:
    """Requests that were refused since the last line of the log."""

    def __init__(self) -> None:
        self._requests: dict[str, list[str]] = {}

    def add(self, request: str, why: str) -> None:
        """Note a refusal, by the request's id and the reason; for an event loop that runs."""
        if not self._requests:
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self.write)
        self._requests.setdefault(why, []).append(request)

    def write(self) -> None:
        """Write a line for each reason, with all ids, if there were refusals."""
        for why, requests in self._requests.items():
            _log.info("%d requests refused: 503 %s: %s", len(requests), why, ", ".join(requests))
        self._requests.clear()
