"""SIGTERM, where it reaches the script: finish the step, keep the state.

SageMaker leaves 120 seconds between SIGTERM and SIGKILL (StopTrainingJob, and Managed Spot Training). The entry point
of AWS's training images does not pass the signal on; there, only the checkpoints written before count.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Final, NoReturn

__all__ = ["EXIT_STATUS", "Interruption"]

EXIT_STATUS: Final = 128 + signal.SIGTERM
"""Not 0: an unfinished training must not count as a finished one."""


class Interruption:
    """While entered, SIGTERM does not end the process but is noted in `requested`."""

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = signal.SIG_DFL

    def __enter__(self) -> Interruption:
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def stop(self, *, kept: bool, where: str) -> NoReturn:
        """End the process with a message: how far the training is, and whether the next attempt resumes from there."""
        after = "the next attempt goes on from there" if kept else "it has no checkpoint folder, so all of it is lost"
        print(f"interrupted by SIGTERM at {where}; {after}", flush=True)
        sys.exit(EXIT_STATUS)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
