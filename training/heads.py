"""The head: one linear layer on the backbone's features, and how it is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training import contract
from training.feature_store import SplitFeatures

__all__ = ["Epoch", "Head", "Scores", "evaluate", "fit", "logits", "new_head", "train_one_epoch"]

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


@dataclass(frozen=True)
class Scores:
    """How a head does on a split."""

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
    head: Head, *, train: SplitFeatures, validation: SplitFeatures, hyperparameters: contract.Hyperparameters
) -> Iterator[Epoch]:
    """Train the head in place for the given epochs and yield each one's results.

    The learning rate falls to zero along a cosine, so that few epochs and many both end settled.
    """
    steps = hyperparameters.epochs * math.ceil(len(train.labels) / hyperparameters.batch_size)
    optimizer = torch.optim.AdamW(
        head.linear.parameters(), lr=hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for number in range(1, hyperparameters.epochs + 1):
        loss = train_one_epoch(
            head,
            train,
            optimizer=optimizer,
            schedule=schedule,
            batch_size=hyperparameters.batch_size,
            label_smoothing=hyperparameters.label_smoothing,
            chance=np.random.default_rng([hyperparameters.seed, number]),
        )
        yield Epoch(number=number, train_loss=loss, validation=evaluate(head, validation))


def train_one_epoch(
    head: Head,
    train: SplitFeatures,
    *,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    batch_size: int,
    label_smoothing: float,
    chance: np.random.Generator,
) -> float:
    """Show the head every training photo once, each in a view drawn by chance; returns the mean loss."""
    views, images, _ = train.features.shape
    order = chance.permutation(np.arange(images))
    view_of = chance.integers(np.full(images, views))
    total = 0.0
    for start in range(0, images, batch_size):
        picked = order[start : start + batch_size]
        features = torch.from_numpy(train.features[view_of[picked], picked])
        labels = torch.from_numpy(train.labels[picked])
        loss = functional.cross_entropy(head(features), labels, label_smoothing=label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        total += float(loss.item()) * len(picked)
    return total / len(order)


@torch.inference_mode()
def logits(head: Head, split: SplitFeatures, *, chunk: int = 4096) -> NDArray[np.float32]:
    """The head's logits on the plain view of a split: (images, classes)."""
    plain = split.features[0]
    parts = [
        head(torch.from_numpy(np.array(plain[start : start + chunk]))).numpy() for start in range(0, len(plain), chunk)
    ]
    return np.concatenate(parts)


def evaluate(head: Head, split: SplitFeatures, *, chunk: int = 4096) -> Scores:
    """Loss and accuracy on the plain view of a split."""
    scores = logits(head, split, chunk=chunk)
    loss = functional.cross_entropy(torch.from_numpy(scores), torch.from_numpy(split.labels)).item()
    predicted = scores.argmax(axis=1)
    return Scores(loss=loss, accuracy=float((predicted == split.labels).mean()), predictions=predicted)
