"""A job's or endpoint's program as a process group of its own."""

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

from local.sagemaker.jobs import keeper

__all__ = ["Program"]

_LOGGER = logging.getLogger(__name__)
_MAX_LINE = 250_000
"""Bytes of output taken as one line at most."""


class Program:
    """A running program under the keeper; its output goes to `on_line`, line by line, from a thread of its own."""

    def __init__(
        self, argv: Sequence[str], *, environment: Mapping[str, str], folder: Path, on_line: Callable[[str], None]
    ) -> None:
        self._on_line = on_line
        self._process = subprocess.Popen(  # noqa: S603 - running the image's program is what this is for
            [sys.executable, "-I", "-S", keeper.__file__, *argv],
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
        """Exit status (128 + N where signal N ended it), or None where it still runs after `timeout` seconds.

        Once the program has ended, so has everything it started, and every line was handed out.
        """
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._signal(signal.SIGKILL)  # what it left behind would keep the output open
        self._reader.join(timeout=10)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not (stream is self._process.stdout and self._reader.is_alive()):
                with contextlib.suppress(OSError):
                    stream.close()
        return status if status >= 0 else 128 - status

    def terminate(self) -> None:
        """Ask the whole group to end (SIGTERM)."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group at once (SIGKILL)."""
        self._signal(signal.SIGKILL)

    def stop(self, grace: float) -> int:
        """SIGTERM, then SIGKILL after `grace` seconds; the exit status."""
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
            except Exception:  # an output nobody reads would block the program
                _LOGGER.exception("a line of the output was lost")
