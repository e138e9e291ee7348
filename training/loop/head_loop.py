"""Training a head on the features of the frozen backbone: seconds a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import contract
from training.data.class_weights import class_counts, class_weights
from training.embedding.store import SplitFeatures
from training.loop.epochs import Validation, run_epochs
from training.loop.history import Epoch, History, scores_of
from training.model.head import Head
from training.runtime.checkpoints import Checkpoints
from training.runtime.observer import Observer

__all__ = ["fit", "head_logits"]


def fit(
    head: Head,
    *,
    train: SplitFeatures,
    validation: SplitFeatures,
    hyperparameters: contract.Hyperparameters,
    checkpoints: Checkpoints | None = None,
    history: History | None = None,
    observer: Observer | None = None,
) -> Iterator[Epoch]:
    """Train the head in place for the given epochs and yield each one's results, which `history` gathers.

    The learning rate falls to zero along a cosine, so that a few epochs and many both end settled. With `checkpoints`,
    it goes on where an earlier process was killed, and yields the epochs that are left. On SIGTERM it then finishes the
    step, writes a checkpoint and exits.
    """
    observer = observer or Observer()
    state = checkpoints.load() if checkpoints is not None else None

    yield from run_epochs(
        _HeadTraining(head, train=train, validation=validation, hyperparameters=hyperparameters, observer=observer),
        epochs=hyperparameters.epochs,
        history=history if history is not None else History(),
        checkpoints=checkpoints,
        state=state,
        observer=observer,
    )


class _HeadTraining:
    """The training of one head. Each epoch's order and views are drawn from the seed and its number alone."""

    def __init__(
        self,
        head: Head,
        *,
        train: SplitFeatures,
        validation: SplitFeatures,
        hyperparameters: contract.Hyperparameters,
        observer: Observer,
    ):
        self.model, self._train, self._validation = head, train, validation
        self._values, self._observer = hyperparameters, observer
        self.steps = math.ceil(len(train.labels) / hyperparameters.batch_size)
        self._optimizer = torch.optim.AdamW(
            head.linear.parameters(), lr=hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self._optimizer, hyperparameters.epochs * self.steps
        )
        self._class_weights = class_weights(
            class_counts(train.labels, classes=len(head.linear.bias)), wanted=hyperparameters.class_weights
        )
        self.begin_epoch(1)

    def begin_epoch(self, epoch: int) -> None:
        """Draw the order of the epoch's photos, and the view that each is seen in."""
        views, images, _ = self._train.features.shape
        rng = np.random.default_rng([self._values.seed, epoch])
        self._order = rng.permutation(np.arange(images))
        self._view_of = rng.integers(np.full(images, views))
        self.epoch, self.step, self._loss = epoch, 0, 0.0

    def take_steps(self) -> Iterator[None]:
        """Update the head from one batch after the other."""
        while self.step < self.steps:
            self._take_step()
            yield

    def train_loss(self) -> float:
        """Return the mean loss over the epoch's photos so far."""
        return self._loss / len(self._order)

    def validate(self, *, between: Callable[[], None]) -> Validation:
        """Return the head's answers to the plain views of the validation photos; too quick for anything in between."""
        logits = head_logits(self.model, self._validation)
        labels = self._validation.labels
        return Validation(logits=logits, labels=labels, scores=scores_of(logits, labels))

    def weights(self) -> Mapping[str, Tensor]:
        """Return the head's weights."""
        return self.model.state_dict()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {
            "head": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "loss": self._loss,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's `state`."""
        self.model.load_state_dict(state["head"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.begin_epoch(state["epoch"])
        self.step, self._loss = state["step"], state["loss"]

    def _take_step(self) -> None:
        observer, size = self._observer, self._values.batch_size
        observer.begin_step((self.epoch - 1) * self.steps + self.step)

        # fetch the batch, each photo in its view of this epoch
        with observer.phase("data"):
            picked = self._order[self.step * size : (self.step + 1) * size]
            features = torch.from_numpy(self._train.features[self._view_of[picked], picked])
            labels = torch.from_numpy(self._train.labels[picked])

        # forward and backward pass
        with observer.phase("forward"):
            logits = self.model(features)
            losses = functional.cross_entropy(
                logits,
                labels,
                weight=self._class_weights,
                label_smoothing=self._values.label_smoothing,
                reduction="none",
            )
            # the mean over the photos: divided by the batch's weights instead, the rare classes would count too little
            loss = losses.mean()
        with observer.phase("backward"):
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        observer.after_backward()

        # step the optimizer and the learning rate
        with observer.phase("optimizer"):
            self._optimizer.step()
            self._schedule.step()
            self._loss += float(loss.item()) * len(picked)
        self.step += 1
        observer.end_step(loss=loss.detach(), logits=logits.detach(), labels=labels)


@torch.inference_mode()
def head_logits(head: Head, split: SplitFeatures, *, chunk: int = 4096) -> NDArray[np.float32]:
    """Return the head's logits on the plain view of a split, (images, classes), computed `chunk` images at a time."""
    plain = split.features[0]
    parts = [
        head(torch.from_numpy(np.array(plain[start : start + chunk]))).numpy() for start in range(0, len(plain), chunk)
    ]
    return np.concatenate(parts)
