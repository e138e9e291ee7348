"""The head: one linear layer on the backbone's features, and how it is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import contract
from training.embedding.store import SplitFeatures
from training.loop.history import Course, Epoch, Scores
from training.runtime.checkpoints import Checkpoints
from training.runtime.interruption import Interruption
from training.runtime.observer import Observer

__all__ = ["Epoch", "Head", "Scores", "fit", "logits", "new_head", "scores_of"]

_LENGTH = 4.0
"""Typical length of a scaled feature vector: makes learning rates of 0.001 to 0.1 right for any backbone's `dim`."""


class Head(nn.Module):
    """Standardises the features, gives every level the same say, and classifies: (N, dim) -> logits (N, classes)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, *, mean: Tensor, scale: Tensor, classes: int):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.linear = nn.Linear(mean.shape[0], classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the features."""
        logits: Tensor = self.linear((features - self.mean) * self.scale)
        return logits

    def folded(self) -> nn.Linear:
        """The same function as a single linear layer, which is what is served."""
        layer = nn.Linear(self.linear.in_features, self.linear.out_features)
        weight = self.linear.weight.detach().double() * self.scale.double()
        bias = self.linear.bias.detach().double() - weight @ self.mean.double()
        layer.load_state_dict({"weight": weight.float(), "bias": bias.float()})
        return layer.requires_grad_(False)


def new_head(train: SplitFeatures, *, levels: list[int], classes: int) -> Head:
    """An untrained head with the training features' mean and deviation; it starts from equal scores for all classes."""
    dim = train.features.shape[2]
    total, squares, count = np.zeros(dim), np.zeros(dim), 0
    for view in train.features:
        for start in range(0, len(view), 4096):
            chunk = view[start : start + 4096].astype(np.float64)
            total += chunk.sum(axis=0)
            squares += np.square(chunk).sum(axis=0)
            count += len(chunk)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    size_of_level = np.repeat(levels, levels)
    # A feature that (almost) never changes says nothing; dividing by its deviation would only blow up noise.
    says_something = deviation > 1e-6
    scale = np.where(says_something, _LENGTH / np.sqrt(len(levels) * size_of_level) / np.maximum(deviation, 1e-6), 0.0)
    return Head(mean=torch.from_numpy(mean).float(), scale=torch.from_numpy(scale).float(), classes=classes)


def fit(
    head: Head,
    *,
    train: SplitFeatures,
    validation: SplitFeatures,
    hyperparameters: contract.Hyperparameters,
    checkpoints: Checkpoints | None = None,
    course: Course | None = None,
    observer: Observer | None = None,
) -> Iterator[Epoch]:
    """Train the head in place for the given epochs and yield each one's results, which `course` gathers.

    The learning rate falls to zero along a cosine, so that few epochs and many both end settled. With `checkpoints`,
    it goes on where an earlier process was killed, and yields the epochs that are left; SIGTERM ends it after a step.
    """
    observer = observer or Observer()
    training = _Training(head, train=train, hyperparameters=hyperparameters, observer=observer)
    interruption = Interruption()
    watching = interruption if checkpoints is not None else nullcontext()
    checkpoints = checkpoints or Checkpoints(None, identity={})
    course = course if course is not None else Course()
    state = checkpoints.load()
    if state is not None:
        training.restore(state)
        course.restore(state["course"])
        print(f"resumed at epoch {training.epoch}, step {training.step} of {training.steps}", flush=True)

    observer.begin_training(
        head,
        epochs=hyperparameters.epochs,
        steps=training.steps,
        done=(training.epoch - 1) * training.steps + training.step,
    )

    def save() -> None:
        with observer.phase("saving"):
            checkpoints.save({**training.state(), "course": course.state()})

    with watching:
        while training.epoch <= hyperparameters.epochs:
            while training.step < training.steps:
                training.take_step()
                if interruption.requested:
                    save()
                    interruption.stop(kept=checkpoints.kept, where=f"epoch {training.epoch}, step {training.step}")
                if checkpoints.due():
                    save()
            with observer.phase("validation"):
                answers = logits(head, validation)
                scores = scores_of(answers, validation.labels)
            observer.validated(
                loss=scores.loss, logits=torch.from_numpy(answers), labels=torch.from_numpy(validation.labels)
            )
            epoch = Epoch(number=training.epoch, train_loss=training.mean_loss(), validation=scores)
            course.add(epoch, head.state_dict())
            training.begin_epoch(epoch.number + 1)
            if checkpoints.due() or epoch.number == hyperparameters.epochs:
                save()
            yield epoch


class _Training:
    """Where a head's training stands. Each epoch's order and views are drawn from the seed and its number alone."""

    def __init__(
        self, head: Head, *, train: SplitFeatures, hyperparameters: contract.Hyperparameters, observer: Observer
    ):
        self._head, self._train, self._values, self._observer = head, train, hyperparameters, observer
        self.steps = math.ceil(len(train.labels) / hyperparameters.batch_size)
        """Steps of an epoch."""
        self._optimizer = torch.optim.AdamW(
            head.linear.parameters(), lr=hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self._optimizer, hyperparameters.epochs * self.steps
        )
        self.begin_epoch(1)

    def begin_epoch(self, epoch: int) -> None:
        """Show the head every training photo once more, each in a view drawn by chance."""
        views, images, _ = self._train.features.shape
        chance = np.random.default_rng([self._values.seed, epoch])
        self._order = chance.permutation(np.arange(images))
        self._view_of = chance.integers(np.full(images, views))
        self.epoch, self.step, self._loss = epoch, 0, 0.0

    def take_step(self) -> None:
        """One update of the head from the next batch."""
        observer, size = self._observer, self._values.batch_size
        observer.begin_step((self.epoch - 1) * self.steps + self.step)
        with observer.phase("data"):
            picked = self._order[self.step * size : (self.step + 1) * size]
            features = torch.from_numpy(self._train.features[self._view_of[picked], picked])
            labels = torch.from_numpy(self._train.labels[picked])
        with observer.phase("forward"):
            answers = self._head(features)
            loss = functional.cross_entropy(answers, labels, label_smoothing=self._values.label_smoothing)
        with observer.phase("backward"):
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        observer.after_backward()
        with observer.phase("optimizer"):
            self._optimizer.step()
            self._schedule.step()
            self._loss += float(loss.item()) * len(picked)
        self.step += 1
        observer.end_step(loss=loss.detach(), logits=answers.detach(), labels=labels)

    def mean_loss(self) -> float:
        """Of the epoch's photos so far."""
        return self._loss / len(self._order)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "head": self._head.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "loss": self._loss,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self._head.load_state_dict(state["head"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.begin_epoch(state["epoch"])
        self.step, self._loss = state["step"], state["loss"]


@torch.inference_mode()
def logits(head: Head, split: SplitFeatures, *, chunk: int = 4096) -> NDArray[np.float32]:
    """The head's logits on the plain view of a split: (images, classes)."""
    plain = split.features[0]
    parts = [
        head(torch.from_numpy(np.array(plain[start : start + chunk]))).numpy() for start in range(0, len(plain), chunk)
    ]
    return np.concatenate(parts)


def scores_of(answers: NDArray[np.float32], labels: NDArray[np.int64]) -> Scores:
    """Loss and accuracy of logits (images, classes) with labels (images,)."""
    loss = functional.cross_entropy(torch.from_numpy(answers), torch.from_numpy(labels)).item()
    predicted = answers.argmax(axis=1)
    return Scores(loss=loss, accuracy=float((predicted == labels).mean()), predictions=predicted)
