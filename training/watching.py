"""The one place where the observer of the best-trial training is put together, and brought to an end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from training import contract
from training.observer import Clock, Observer

__all__ = ["watched_training"]


@contextmanager
def watched_training(
    hyperparameters: contract.Hyperparameters, *, leads: bool = True, clock: Clock | None = None
) -> Iterator[Observer]:
    """An observer for the training that happens inside; of several processes, the one that `leads` is watched."""
    yield Observer(clock=clock if leads else None)
