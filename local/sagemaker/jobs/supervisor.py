"""Run a program, and end it with everything that it started as soon as the service is gone.

Usage: `python supervisor.py PROGRAM ARGUMENT…`, as the leader of a session. Standard input is a pipe whose other end
only the service holds. It reaches end of file when the service closes it or dies, by SIGKILL as well, on every Unix.

The exit status is the program's, 128 + N if signal N ended it (as Docker reports it), or 127 if it cannot start.

This file imports the standard library only, and nothing of this package, so that it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL once the service is gone."""


def main(argv: list[str]) -> int:
    """Run the program and return its exit status."""
    # SIGTERM goes to the whole process group, and the supervisor outlives it to report the program's exit status. It
    # takes a handler: a signal that is ignored (SIG_IGN) would be ignored by the program as well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    threading.Thread(target=_watch, daemon=True).start()
    try:
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL)  # noqa: S603 - the service says what to run
    except OSError as error:
        sys.stderr.write(f"cannot start {argv[0]}: {error}\n")
        return 127
    status = program.wait()
    return status if status >= 0 else 128 - status


def _watch() -> None:
    while os.read(0, 4096):
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(0, signal.SIGTERM)
        time.sleep(_GRACE)
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
