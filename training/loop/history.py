"""The history of a training: every epoch's results, and the weights of the best one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import contract

__all__ = ["Epoch", "History", "Scores", "epoch_line", "scores_of"]


@dataclass(frozen=True)
class Scores:
    """Loss and accuracy of a model on a split."""

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
class History:
    """The epochs so far; it goes into the checkpoints."""

    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)
    """Copies of the best epoch's weights, on the CPU."""

    def add(self, epoch: Epoch, weights: Mapping[str, Tensor]) -> None:
        """Add an epoch; copy its weights if it is the best so far. The earlier one wins a tie."""
        self.epochs.append(epoch)
        if self.best is None or _rank(epoch) > _rank(self.best):
            self.best = epoch
            self.weights = {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        rows = [[e.number, e.train_loss, e.validation.loss, e.validation.accuracy] for e in self.epochs]
        return {"epochs": rows, "best": self.best.number if self.best else 0, "weights": self.weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's `state`; the predictions, which nothing reads again, are empty."""
        nothing = np.empty(0, dtype=np.int64)
        self.epochs = [
            Epoch(number=number, train_loss=train_loss, validation=Scores(loss, accuracy, nothing))
            for number, train_loss, loss, accuracy in state["epochs"]
        ]
        self.best = self.epochs[state["best"] - 1] if state["best"] else None
        self.weights = state["weights"]


def scores_of(logits: NDArray[Any], labels: NDArray[np.int64]) -> Scores:
    """Return loss, without label smoothing, and accuracy of logits (images, classes) with labels (images,).

    The loss is computed in the precision of the logits.
    """
    loss = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item()
    predictions = logits.argmax(axis=1)
    return Scores(loss=float(loss), accuracy=float((predictions == labels).mean()), predictions=predictions)


def epoch_line(epoch: Epoch, *, epochs: int) -> str:
    """Return an epoch's line of the job's log, which SageMaker's metric regexes read too."""
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
