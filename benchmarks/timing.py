"""Fair comparisons on a machine that other processes use, too."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

__all__ = ["child_cpu_seconds", "cpu_seconds", "interleave", "median"]

_ROOT = Path(__file__).parents[1]


def interleave(candidates: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure the candidates in turns, and return each one's measurements.

    A busy minute of the machine then hits all candidates and not only one. Every second round goes backwards, so that
    no candidate always follows the one that leaves the caches warm.
    """
    measured: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds):
        names = list(candidates)
        for name in reversed(names) if number % 2 else names:
            measured[name].append(candidates[name]())
    return measured


def median(values: Iterable[float]) -> float:
    """Return the middle value, which a few disturbed measurements do not move."""
    return statistics.median(values)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time that this process takes for some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def child_cpu_seconds(arguments: Sequence[str], variables: Mapping[str, str]) -> float:
    """Return the CPU time of a Python process with these arguments and additional environment variables.

    The process finds the project's packages. An exception is raised if it fails.
    """
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), **variables}
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
