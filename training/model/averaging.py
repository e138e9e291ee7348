"""An exponential moving average of the weights while they are trained; often better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

__all__ = ["MovingAverage", "decay_for"]

_HORIZON: Final = 0.1
"""Share of a training's steps that an average may remember: what is older was learnt at another learning rate."""


def decay_for(largest: float, *, steps: int) -> float:
    """Return the decay of the moving average for a training of so many steps, at most `largest`.

    An average with decay d remembers about 1 / (1 - d) updates: with 0.9998, which is right for the hundred thousands
    of steps of ImageNet's recipes, the average after 250 steps would still be mostly where it began.
    """
    return max(0.0, min(largest, 1 - 1 / (_HORIZON * steps)))


class MovingAverage:
    """Averages of the given tensors: weights, and batch norm's statistics, which belong to them.

    The first averages follow the weights closely, since the start is not worth remembering: the decay of update t is
    at most (1 + t) / (10 + t), as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, tensors: Mapping[str, Tensor], *, decay: float):
        self._live = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
        self._aside = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self._decay, self._updates = decay, 0
        self._applied = False

    @property
    def averages(self) -> dict[str, Tensor]:
        """The averages by name, also while the network has them for weights."""
        return self._live if self._applied else self._aside

    @property
    def weights(self) -> dict[str, Tensor]:
        """The network's own tensors by name, also while it has the averages in their place."""
        return self._aside if self._applied else self._live

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the weights as they are now."""
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        self._updates += 1
        torch._foreach_lerp_(list(self._aside.values()), list(self._live.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the network the averages for weights within the `with` statement."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, object]:
        """Return what a checkpoint keeps: the averages, and how many updates they have seen."""
        return {"updates": self._updates, "averages": self.averages}

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on from a checkpoint's `state`.

        Raises:
            TypeError: it is no state of a moving average.
        """
        updates, averages = state["updates"], state["averages"]
        if not isinstance(updates, int) or not isinstance(averages, dict):
            raise TypeError(f"no state of a moving average: {type(updates)}, {type(averages)}")
        self._updates = updates
        for name, average in self._aside.items():
            average.copy_(averages[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, live in self._live.items():
            kept = live.clone()
            live.copy_(self._aside[name])
            self._aside[name].copy_(kept)
        self._applied = not self._applied
