"""The served model without a server: photos decoded and classified in processes that do nothing else.

    python -m benchmarks.bare_model MODEL-FOLDER PHOTO ...

runs in the endpoint's environment: for each line with a number on standard input it classifies so many of the photos,
in turns, and answers with a line that has the CPU milliseconds of each.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from benchmarks.server import ROOT
from inference.classifier import Classifier
from inference.invocation import ClassifyRequest

__all__ = ["BareModel", "bare_model"]


class BareModel:
    """A served model in processes of one thread each."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def cpu_milliseconds(self, photos: int, *, processes: int) -> float:
        """Return the CPU milliseconds of a photo where each of so many processes classifies so many photos at once.

        Raises:
            ValueError: there are fewer processes, or one of them has ended.
        """
        asked = self._processes[:processes]
        if len(asked) < processes:
            raise ValueError(f"there are {len(asked)} processes, not {processes}")
        for process in asked:
            assert process.stdin
            process.stdin.write(f"{photos}\n")
            process.stdin.flush()
        answers = [process.stdout.readline() for process in asked if process.stdout]
        return sum(map(float, answers)) / processes


@contextmanager
def bare_model(folder: Path, photos: Sequence[Path], *, python: Path, processes: int) -> Iterator[BareModel]:
    """Load the model in processes, which end with the context."""
    argv = [str(python), "-m", "benchmarks.bare_model", str(folder), *map(str, photos)]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in range(processes)]
    try:
        yield BareModel(started)
    finally:
        for process in started:
            process.communicate()


def _main(folder: Path, photos: Sequence[Path]) -> None:
    model = Classifier(folder, threads=1)
    bodies = [photo.read_bytes() for photo in photos]
    for line in sys.stdin:
        asked = [ClassifyRequest(body, top_k=5) for body in islice(cycle(bodies), int(line))]
        before = time.process_time()
        for each in asked:
            model.classify(each)
        print((time.process_time() - before) * 1000 / len(asked), flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), [Path(photo) for photo in sys.argv[2:]])
