"""How a training went so far: every epoch's results, and the weights of the best one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import contract

__all__ = ["Course", "Epoch", "Scores", "epoch_line"]


@dataclass(frozen=True)
class Scores:
    """How a model does on a split."""

    loss: float
    accuracy: float
    predictions: NDArray[np.int64]
    """(images,): the class with the highest score."""


@dataclass(frozen=True)
class Epoch:
    """One epoch's results; `number` counts from 1."""

    number: int
    train_loss: float
    validation: Scores


@dataclass
class Course:
    """Grows by an epoch at a time, and goes into the checkpoints."""

    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)
    """Copies of the best epoch's weights, on the CPU."""

    def add(self, epoch: Epoch, weights: Mapping[str, Tensor]) -> None:
        """Note an epoch; its weights are kept if it is the best so far. The earlier one wins a tie."""
        self.epochs.append(epoch)
        if self.best is None or _rank(epoch) > _rank(self.best):
            self.best = epoch
            self.weights = {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        rows = [[e.number, e.train_loss, e.validation.loss, e.validation.accuracy] for e in self.epochs]
        return {"epochs": rows, "best": self.best.number if self.best else 0, "weights": self.weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`, but that predictions, which nobody asks for again, are empty."""
        nothing = np.empty(0, dtype=np.int64)
        self.epochs = [
            Epoch(number=number, train_loss=train_loss, validation=Scores(loss, accuracy, nothing))
            for number, train_loss, loss, accuracy in state["epochs"]
        ]
        self.best = self.epochs[state["best"] - 1] if state["best"] else None
        self.weights = state["weights"]


def epoch_line(epoch: Epoch, *, epochs: int) -> str:
    """One epoch for people and for SageMaker's metric regexes."""
    return " ".join(
        [
            f"epoch {epoch.number}/{epochs}:",
            contract.metric("train:loss").line(epoch.train_loss),
            contract.metric("validation:loss").line(epoch.validation.loss),
            contract.metric("validation:accuracy").line(epoch.validation.accuracy),
        ]
    )


def _rank(epoch: Epoch) -> tuple[float, float]:
    return epoch.validation.accuracy, -epoch.validation.loss
