"""The instruments of a training loop: a clock for its phases, and a hook that saves tensors.

The loops call an `Observer` at the moments named below; trials run with one that does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from torch import Tensor, nn

from contract import Phase

__all__ = ["Clock", "Observer", "TensorHook"]

_Item = TypeVar("_Item")


class Clock(Protocol):
    """Where the time of a step goes."""

    def begin_training(self, *, done: int) -> None:
        """Start the clock before the first step; an interrupted attempt has `done` so many already."""

    def phase(self, name: Phase) -> AbstractContextManager[None]:
        """Return a context whose time is that phase's; of a phase within a phase, the inner one's only."""

    def end_step(self) -> None:
        """End an optimiser step, with all that came since the one before."""


class TensorHook(Protocol):
    """What saves tensors for the debugger rules; it never raises."""

    def begin_training(
        self, model: nn.Module, *, epochs: int, steps: int, done: int, archives: Sequence[str] = ()
    ) -> None:
        """Prepare for the first step.

        Args:
            model: what learns.
            epochs: all of them.
            steps: optimiser steps of an epoch.
            done: steps that an interrupted attempt has done already.
            archives: what `keep` returned when the checkpoint was written that the training goes on from.
        """

    def begin_step(self, step: int) -> None:
        """Begin an optimiser step, before its forward pass; steps count from 0 over the whole training."""

    def after_backward(self, *, scaled: bool) -> None:
        """Save gradients: they are complete, and the weights are still those they were taken at.

        `scaled`: a gradient scaler is in use, which skips a step whose gradients are not finite.
        """

    def end_step(self, *, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """End the step, after the update.

        `loss` is the batch's mean; logits (N, classes) and labels (N,) are those of its last part.
        """

    def validated(self, *, loss: float, logits: Tensor, labels: Tensor) -> None:
        """Save an epoch's validation: mean loss, logits (N, classes), labels (N,)."""

    def keep(self) -> list[str]:
        """Keep the tensors saved so far for the next attempt; return the names of their archives.

        It is called between two steps, right before the checkpoint that holds the names.
        """


class Observer:
    """A clock and a hook, either of which may be missing."""

    def __init__(self, *, clock: Clock | None = None, hook: TensorHook | None = None):
        self._clock, self._hook = clock, hook

    def phase(self, name: Phase) -> AbstractContextManager[None]:
        """Return a context in which the time is this phase's."""
        return self._clock.phase(name) if self._clock else nullcontext()

    def each(self, name: Phase, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the items; the time of waiting for the next one is this phase's."""
        coming = iter(items)
        while True:
            with self.phase(name):
                try:
                    item = next(coming)
                except StopIteration:
                    return
            yield item

    def begin_training(
        self, model: nn.Module, *, epochs: int, steps: int, done: int, archives: Sequence[str] = ()
    ) -> None:
        """See `TensorHook.begin_training`."""
        if self._clock:
            self._clock.begin_training(done=done)
        if self._hook:
            with self.phase("saving"):
                self._hook.begin_training(model, epochs=epochs, steps=steps, done=done, archives=archives)

    def begin_step(self, step: int) -> None:
        """See `TensorHook.begin_step`."""
        if self._hook:
            with self.phase("saving"):
                self._hook.begin_step(step)

    def after_backward(self, *, scaled: bool = False) -> None:
        """See `TensorHook.after_backward`."""
        if self._hook:
            with self.phase("saving"):
                self._hook.after_backward(scaled=scaled)

    def end_step(self, *, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """See `TensorHook.end_step`; also ends the clock's step."""
        if self._hook:
            with self.phase("saving"):
                self._hook.end_step(loss=loss, logits=logits, labels=labels)
        if self._clock:
            self._clock.end_step()

    def validated(self, *, loss: float, logits: Tensor, labels: Tensor) -> None:
        """See `TensorHook.validated`."""
        if self._hook:
            with self.phase("saving"):
                self._hook.validated(loss=loss, logits=logits, labels=labels)

    def keep(self) -> list[str]:
        """See `TensorHook.keep`."""
        if not self._hook:
            return []
        with self.phase("saving"):
            return self._hook.keep()
