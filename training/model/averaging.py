"""An exponential moving average of the weights while they are trained; often better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["MovingAverage"]


class MovingAverage:
    """Averages of the given tensors: weights, and batch norm's statistics, which must fit to them.

    The first averages follow the weights closely, since the start is not worth remembering: the decay of update t is
    at most (1 + t) / (10 + t), as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, tensors: Mapping[str, Tensor], *, decay: float):
        self._live = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
        self._averages = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self._decay, self._updates = decay, 0
        self._applied = False

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        self._updates += 1
        torch._foreach_lerp_(list(self._averages.values()), list(self._live.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the network has the averages for weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Within, the network has its own weights even if the averages are applied: a checkpoint must not mix them."""
        if not self._applied:
            yield
            return
        with self.applied():
            yield

    def state(self) -> dict[str, object]:
        """For a checkpoint."""
        return {"updates": self._updates, "averages": self._averages}

    def restore(self, state: Mapping[str, object]) -> None:
        """The inverse of `state`."""
        updates, averages = state["updates"], state["averages"]
        if not isinstance(updates, int) or not isinstance(averages, dict):
            raise TypeError(f"no state of a moving average: {type(updates)}, {type(averages)}")
        self._updates = updates
        for name, average in self._averages.items():
            average.copy_(averages[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, live in self._live.items():
            kept = live.clone()
            live.copy_(self._averages[name])
            self._averages[name].copy_(kept)
        self._applied = not self._applied
