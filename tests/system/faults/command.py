"""One `whippet` command in a process of its own, which is forked, since Python takes a second to import it anew."""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from cli.main import main

__all__ = ["CRASHED", "Ended", "Running"]

CRASHED = 70
"""Status of a command that ended with a traceback."""


@dataclass(frozen=True)
class Ended:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return f"{self.out}\n{self.err}"


class Running:
    """A command that goes on. Its requests carry `mark` in their user agent, as the SDK writes it there."""

    def __init__(self, arguments: list[str], *, mark: str, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.pid = os.fork()
        if self.pid == 0:
            _become(arguments, mark, folder)

    def ended(self, status: int) -> Ended:
        """Return how it ended, given what os.waitpid says."""
        out, err = ((self._folder / name).read_text(errors="replace") for name in ("out", "err"))
        return Ended(os.waitstatus_to_exitcode(status), out, err)


def _become(arguments: list[str], mark: str, folder: Path) -> None:
    """Run the command, and end this process with its status."""
    status = CRASHED
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        sys.stdout, sys.stderr = out, err
        try:
            os.environ["AWS_SDK_UA_APP_ID"] = mark
            sys.argv = ["whippet", *arguments]
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            out.flush()
            err.flush()
            os._exit(status)
