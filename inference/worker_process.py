"""A worker as the server sees it: a process, a socket to it, and what its end means for the request it had."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from typing import Final

from inference.messages import READY, REPLY_HEADER, Job, Reply, packed_job

__all__ = ["FileEndedWorkerError", "WorkerEndedError", "WorkerProcess"]

_BUFFER: Final = 2**20
_FAULTS: Final = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP}
)
"""What a native program ends by when it reads or writes where it may not, or finds itself in disorder."""


class WorkerEndedError(Exception):
    """The worker ended before it answered, by nothing that the request did."""


class FileEndedWorkerError(WorkerEndedError):
    """The worker ended by the request's file; the message says what of it was too much."""


class WorkerProcess:
    """A process that answers one request at a time."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            argv = [sys.executable, "-m", "inference.worker", str(theirs.fileno())]
            self._process = subprocess.Popen(argv, pass_fds=[theirs.fileno()])  # noqa: S603 (nothing of a request)
        self._socket = ours
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the worker has closed its end of the socket."""
        return self._streams is not None and self._streams[0].at_eof()

    async def ready(self) -> None:
        """Wait until the model has run.

        Raises:
            WorkerEndedError: it has not, and never will.
        """
        self._streams = await asyncio.open_unix_connection(sock=self._socket)
        if await self._streams[0].read(1) != READY:
            raise WorkerEndedError(f"the worker {self.pid} ended before it was ready, {await self.end()}")

    async def ask(self, job: Job, *, seconds: float) -> Reply:
        """Return the worker's reply.

        Raises:
            WorkerEndedError: it ended without one, or took longer than `seconds` and was ended.
        """
        if self._streams is None:
            raise RuntimeError("wait until the worker is ready before it is asked")
        reader, writer = self._streams
        try:
            async with asyncio.timeout(seconds):
                head, body = packed_job(job)
                writer.write(head)
                writer.write(body)
                await writer.drain()
                header = await reader.readexactly(REPLY_HEADER.size)
                status, decode, model, unknown, length = REPLY_HEADER.unpack(header)
                return Reply(status, await reader.readexactly(length), decode, model, unknown)
        except TimeoutError:
            raise WorkerEndedError(f"it was ended after {seconds:g} seconds, {await self.end()}") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            how = await self.end()
            number = -(self._process.returncode or 0)
            if number == signal.SIGPROF:  # of the worker's bound on processor time
                raise FileEndedWorkerError("takes too much time") from None
            if number in _FAULTS:
                raise FileEndedWorkerError("ends the program that decodes it") from None
            raise WorkerEndedError(f"it ended {how}") from None

    async def end(self) -> str:
        """End the process if it still runs, and return how it ended, in words."""
        if self._streams is not None:
            self._streams[1].close()
        else:
            self._socket.close()
        try:
            await asyncio.to_thread(self._process.wait, 0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        code = self._process.returncode
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
