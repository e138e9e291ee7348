"""The body of a request: bounded in bytes and in the time it takes to come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import Request

from inference.invocation import MAX_BODY_BYTES, Problem

__all__ = ["MAX_BODY_SECONDS", "MAX_HELD_BYTES", "Bodies"]

MAX_BODY_SECONDS: Final = 30.0
"""Seconds in which a body must have come. SageMaker has all of it before it asks the container."""

MAX_HELD_BYTES: Final = 150_000_000
"""Bytes of all requests that are being received, wait or are answered."""


class Bodies:
    """The bodies of the requests that a server has at one time."""

    def __init__(self) -> None:
        self._held = 0

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[bytes]:
        """Give the request's body, of `MAX_BODY_BYTES` at most, which counts as held until the context ends.

        A body that is too large is read to its end, or to four times the limit, and discarded: a client that is still
        sending would not read the response.

        Raises:
            Problem: 413, the body is too large; 408, it does not come; 503, the server holds too much already.
        """
        chunks: list[bytes] = []
        size = kept = 0
        has_room = True
        try:
            # as it comes, within the bounds of one body and of all that are held
            try:
                async with asyncio.timeout(MAX_BODY_SECONDS):
                    async for chunk in request.stream():
                        size += len(chunk)
                        has_room = has_room and self._held + len(chunk) <= MAX_HELD_BYTES
                        if size <= MAX_BODY_BYTES and has_room:
                            chunks.append(chunk)
                            kept += len(chunk)
                            self._held += len(chunk)
                        else:
                            chunks.clear()
                            self._held -= kept
                            kept = 0
                        if size > 4 * MAX_BODY_BYTES:
                            break
            except TimeoutError:
                raise Problem(
                    408, f"the body has not come within {MAX_BODY_SECONDS:g} seconds; send a smaller image, or faster"
                ) from None

            # all of it is here, or has been read past
            if size > MAX_BODY_BYTES:
                raise Problem(413, f"the body has more than {MAX_BODY_BYTES:,} bytes; send a smaller image")
            if not has_room:
                raise Problem(503, "the server has too much to do; send the request again in a second")
            yield b"".join(chunks)
        finally:
            self._held -= kept
