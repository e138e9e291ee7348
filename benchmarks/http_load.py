"""A closed loop of HTTP requests: every connection sends its next request when it has the answer to the last one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

__all__ = ["Answered", "ask", "exchange"]


@dataclass(frozen=True)
class Answered:
    """What became of the requests."""

    seconds: float
    """From the first request to the last answer."""
    latencies: list[float]
    """Seconds of each request."""
    statuses: list[int]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds


def ask(
    port: int, bodies: Sequence[bytes], *, requests: int, connections: int, content_type: str = "image/jpeg"
) -> Answered:
    """Post the bodies in turns to `/invocations` on this machine, over connections that stay open.

    Raises:
        OSError: the server cannot be reached, or closes a connection in the middle of an answer.
    """
    return asyncio.run(_ask(port, cycle(bodies), requests, connections, content_type))


async def _ask(port: int, bodies: Iterator[bytes], requests: int, connections: int, content_type: str) -> Answered:
    latencies: list[float] = []
    statuses: list[int] = []
    left = iter(range(requests))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for _ in left:
                body = next(bodies)
                head = (
                    f"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n"
                )
                began = time.perf_counter()
                statuses.append(await exchange(reader, writer, head.encode() + body))
                latencies.append(time.perf_counter() - began)
        finally:
            writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(connections)))
    return Answered(time.perf_counter() - began, latencies, statuses)


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request, read the response to its end, and return its status.

    Raises:
        OSError: the server closed the connection before the end.
    """
    writer.write(request)
    await writer.drain()
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
        await reader.readexactly(int(headers["content-length"]))
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the server closed the connection before the end of an answer") from error
    return int(head.split()[1])
