"""Runs a program and ends it, with everything it started, as soon as the service that asked for it is gone.

`python keeper.py PROGRAM ARGUMENT…`, started as the leader of a session. Standard input is a pipe whose other end only
the service holds: it reads as ended when the service closes it or dies, however it dies (also by SIGKILL), on every
Unix. Exit status: the program's, or 128 + N where signal N ended it, as Docker tells it; 127 where it cannot start.

Standard library only and no import of this package, so that it starts in milliseconds.
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
    """Exit status of the program."""
    # SIGTERM goes to the whole process group; the keeper outlives it to tell the program's exit status. A handler, not
    # SIG_IGN, since an ignored signal stays ignored in the program.
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
