"""The one place where the observer of the best-trial training is put together, and brought to an end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from training import contract
from training.distributed import Group
from training.observer import Observer
from training.profiling import Profiler

__all__ = ["watched_training"]


@contextmanager
def watched_training(
    hyperparameters: contract.Hyperparameters, *, profiler: Profiler, group: Group | None = None
) -> Iterator[Observer]:
    """An observer for the training that happens inside, alone or in a group whose every process calls this.

    Time is measured in every process, and how busy each host was is known to all at the end.
    """
    profiler.start()
    try:
        yield Observer(clock=profiler.clock)
    finally:
        profiler.stop()
    if group is not None:
        profiler.gather(group)
