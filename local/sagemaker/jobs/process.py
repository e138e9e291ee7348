"""The program of a job or endpoint, in a process group of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.sagemaker.jobs import supervisor

__all__ = ["Program"]

_LOGGER = logging.getLogger(__name__)
_MAX_LINE = 250_000
"""Bytes after which output without a line break is taken as a line."""


class Program:
    """A running program.

    It runs below `supervisor`, which ends it should the service die. A thread calls `on_line` with each line of output.
    """

    def __init__(
        self, argv: Sequence[str], *, environment: Mapping[str, str], folder: Path, on_line: Callable[[str], None]
    ) -> None:
        self._on_line = on_line
        self._process = subprocess.Popen(  # noqa: S603 - running the image's program is what this is for
            [sys.executable, "-I", "-S", supervisor.__file__, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {self._process.pid}", daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended."""
        return self._process.poll() is None

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the exit status, or None if the program still runs after `timeout` seconds.

        The status is 128 + N if signal N ended the program. Once it has ended, everything that it started is ended,
        too, and `on_line` was called with every line.
        """
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        # processes that it left behind would keep the output open
        self._signal(signal.SIGKILL)
        self._reader.join(timeout=10)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not (stream is self._process.stdout and self._reader.is_alive()):
                with contextlib.suppress(OSError):
                    stream.close()
        return status if status >= 0 else 128 - status

    def terminate(self) -> None:
        """Send SIGTERM to the whole process group."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the whole process group."""
        self._signal(signal.SIGKILL)

    def stop(self, grace: float) -> int:
        """Send SIGTERM, after `grace` seconds SIGKILL, and return the exit status."""
        self.terminate()
        status = self.wait(grace)
        if status is None:
            self.kill()
            status = self.wait()
        return status if status is not None else 128 + signal.SIGKILL

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
            os.killpg(self._process.pid, number)

    def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:
            raise RuntimeError("the program was started without a pipe for its output")
        while line := stream.readline(_MAX_LINE):
            try:
                self._on_line(line.decode("utf-8", "replace").rstrip("\r\n"))
            except Exception:
                # go on reading: the program would block on output that nobody reads
                _LOGGER.exception("a line of the program's output was lost")
