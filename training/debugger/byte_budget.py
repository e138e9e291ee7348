"""Spreads the bytes that a training's tensors may take over its steps."""

from __future__ import annotations

import contract

__all__ = ["ByteBudget"]


class ByteBudget:
    """A bound for all files of a training, of which every step saved in detail takes about the same."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._largest = 0

    def note_write(self, size: int) -> None:
        """Note the bytes of one write; the largest so far is what a step is expected to take."""
        self._largest = max(self._largest, size)

    def allows(self, step: int, *, steps: int, written: int) -> bool:
        """Return whether a step of `steps` may be saved in detail, when so many bytes are written.

        Room is kept for the first steps, which PoorWeightInitialization looks at, and for the last. The steps between
        them may take the part of the rest that the training's progress allows.
        """
        if written + self._largest > self._limit:
            return False
        if step < contract.FIRST_STEPS or step == steps - 1:
            return True
        room = self._limit - (contract.FIRST_STEPS + 1) * self._largest
        spent = written - contract.FIRST_STEPS * self._largest
        return spent + self._largest <= room * (step + 1) / steps
