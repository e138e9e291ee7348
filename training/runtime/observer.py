"""What watches a training from inside its loop: a clock for its phases, and a hook that saves tensors.

The loops call an `Observer` at the moments named below; trials run with one that does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from torch import Tensor, nn

from contract import Phase

__all__ = ["Clock", "Observer", "TensorHook"]

_Item = TypeVar("_Item")


class Clock(Protocol):
    """Where the time of a step goes."""

    def begin_training(self, *, done: int) -> None:
        """Before the first step; an interrupted attempt has done so many already."""

    def phase(self, name: Phase) -> AbstractContextManager[None]:
        """Time spent in it is that phase's; of a phase within a phase, the inner one's only."""

    def end_step(self) -> None:
        """One optimiser step is over, with all that came since the one before."""


class TensorHook(Protocol):
    """What saves tensors for the debugger rules; it never raises."""

    def begin_training(self, model: nn.Module, *, epochs: int, steps: int, done: int) -> None:
        """Before the first step: the model that learns, all epochs, the optimiser steps of each, and how many of the
        steps an interrupted attempt has done already."""

    def begin_step(self, step: int) -> None:
        """Before the forward pass of an optimiser step; steps count from 0 over the whole training."""

    def after_backward(self, *, scaled: bool) -> None:
        """The step's gradients are complete, and the weights are still those they were taken at.

        `scaled`: a gradient scaler watches over them, which passes over a step whose gradients are not finite.
        """

    def end_step(self, *, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """After the update. `loss` is the batch's mean; logits (N, classes) and labels (N,) are of its last part."""

    def validated(self, *, loss: float, logits: Tensor, labels: Tensor) -> None:
        """After an epoch's look at the validation photos: mean loss, logits (N, classes), labels (N,)."""


class Observer:
    """A clock and a hook, either of which may be missing."""

    def __init__(self, *, clock: Clock | None = None, hook: TensorHook | None = None):
        self._clock, self._hook = clock, hook

    def phase(self, name: Phase) -> AbstractContextManager[None]:
        """For `with`: what happens inside is this phase of the step."""
        return self._clock.phase(name) if self._clock else nullcontext()

    def each(self, name: Phase, items: Iterable[_Item]) -> Iterator[_Item]:
        """The items; waiting for the next one is this phase."""
        coming = iter(items)
        while True:
            with self.phase(name):
                try:
                    item = next(coming)
                except StopIteration:
                    return
            yield item

    def begin_training(self, model: nn.Module, *, epochs: int, steps: int, done: int) -> None:
        """See `TensorHook.begin_training`."""
        if self._clock:
            self._clock.begin_training(done=done)
        if self._hook:
            with self.phase("saving"):
                self._hook.begin_training(model, epochs=epochs, steps=steps, done=done)

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
