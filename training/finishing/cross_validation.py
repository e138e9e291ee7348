"""The settings of the finished head, by cross-validation over the training photos."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

import contract
from training.embedding.store import SplitFeatures
from training.evaluation.calibration import fit_temperature
from training.finishing.rows import MEMORY, Photos, Rows
from training.loop.history import photo_losses, standard_error
from training.model.head import Head, level_factors
from training.model.logistic_regression import Solution, solve

__all__ = ["MIDDLE_WEIGHTS", "PENALTIES", "Choice", "calibrated_losses", "cross_validate", "folds", "simplest"]

MIDDLE_WEIGHTS: Final = (0.0, 0.25, 0.5, 1.0)
"""Weights of the levels before the last, whose weight is 1: the simplest first."""

PENALTIES: Final = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
"""From strong to weak: each solution is where the next fit starts."""

FOLDS: Final = 3


@dataclass(frozen=True)
class Choice:
    """The settings that were chosen, and how they did on photos that were held out."""

    level_weights: list[float]
    penalty: float
    logits: NDArray[np.float32]
    """(images, classes): of photos by heads that had not learnt from them."""
    labels: NDArray[np.int64]
    """(images,)"""
    description: str
    """For the log."""


def cross_validate(
    head: Head, *, train: SplitFeatures, levels: Sequence[int], hyperparameters: contract.Hyperparameters
) -> Choice:
    """Choose the weight of the middle levels and the penalty by the loss on photos that are held out in turn.

    Candidates are compared as they would be served, calibrated. Chosen is the simplest whose loss is within one
    standard error of the lowest: the smallest weight of the middle levels, then the strongest penalty. What is only a
    little better on photos like these may be worse on others, such as photos of the same things from other places.

    Args:
        head: whose standardisation is used.
        train: learnt from in all views, and held out in the plain view.
        levels: sizes of the parts of a feature vector.
        hyperparameters: the training's.
    """
    weights = [[middle] * (len(levels) - 1) + [1.0] for middle in MIDDLE_WEIGHTS[-1 if len(levels) == 1 else 0 :]]
    classes = len(head.linear.bias)
    rng = np.random.default_rng(hyperparameters.seed)
    images = _sample(train, rng, numbers_each=len(weights) * len(PENALTIES) * classes)
    labels = train.labels[images]
    fold_of = folds(labels, rng)

    # the logits of every photo, by heads that learnt from the other folds
    logits = np.zeros((len(weights), len(PENALTIES), len(images), classes), dtype=np.float32)
    for fold, (at, level_weights) in itertools.product(range(min(FOLDS, len(images))), enumerate(weights)):
        scale = head.scale * level_factors(levels, weights=level_weights)
        learnt, held = images[fold_of != fold], images[fold_of == fold]
        logits[at][:, fold_of == fold] = _path(
            Rows([Photos(train, learnt, train.features.shape[0])], mean=head.mean, scale=scale),
            Rows([Photos(train, held, 1)], mean=head.mean, scale=scale),
            classes=classes,
            label_smoothing=hyperparameters.label_smoothing,
        )

    # the choice
    losses = np.array([[calibrated_losses(each, labels) for each in of_weight] for of_weight in logits])
    weight, penalty = simplest(losses)
    chosen = losses[weight, penalty]
    edge = " (the edge of the range)" if penalty in (0, len(PENALTIES) - 1) else ""
    levels_used = " and ".join(f"{size} x {level:g}" for size, level in zip(levels, weights[weight], strict=True))
    return Choice(
        level_weights=weights[weight],
        # The penalty stands against the mean loss, so the more photos there are, the less of it they need.
        penalty=PENALTIES[penalty] * len(images) / len(train.labels),
        logits=logits[weight, penalty],
        labels=labels,
        description=(
            f"logistic regression: penalty {PENALTIES[penalty]:g}{edge}, features {levels_used}, chosen from "
            f"{len(weights) * len(PENALTIES)} settings by {FOLDS}-fold cross-validation on {len(images)} training "
            f"photos: calibrated loss {chosen.mean():.4f} (standard error {standard_error(chosen):.4f}), "
            f"lowest {losses.mean(axis=2).min():.4f}"
        ),
    )


def simplest(losses: NDArray[np.float64]) -> tuple[int, int]:
    """Return which weight of the middle levels and which penalty to take, by position: the first that are good enough.

    Args:
        losses: (weights, penalties, images), the weights in rising order and the penalties in falling order.
    """
    means = losses.mean(axis=2)
    best = losses[np.unravel_index(means.argmin(), means.shape)]
    weights, penalties = means.shape
    candidates = itertools.product(range(weights), range(penalties))
    behind = ((at, losses[at] - best) for at in candidates)
    return next(at for at, distance in behind if distance.mean() <= standard_error(distance))


def calibrated_losses(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the cross-entropy of each photo, (images,), once the logits are divided by the temperature that fits."""
    return photo_losses(logits.astype(np.float64) / fit_temperature(logits, labels), labels)


def folds(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold of each photo, (images,): photos are dealt out class by class, so each fold has its share."""
    fold_of = np.empty(len(labels), dtype=np.int64)
    fold_of[np.lexsort((rng.random(len(labels)), labels))] = np.arange(len(labels)) % FOLDS
    return fold_of


def _sample(train: SplitFeatures, rng: np.random.Generator, *, numbers_each: int) -> NDArray[np.int64]:
    """Return all photos, or as many random ones as fit in memory with `numbers_each` further numbers a photo."""
    views, images, dim = train.features.shape
    most = MEMORY // (4 * (views * dim + numbers_each))
    if images <= most:
        return np.arange(images)
    return np.sort(rng.choice(images, size=most, replace=False))


def _path(learnt: Rows, held: Rows, *, classes: int, label_smoothing: float) -> NDArray[np.float32]:
    """Return the logits of held-out photos under every penalty, (penalties, images, classes)."""
    plain = torch.cat([batch.features for batch in held])
    solution = Solution.zero(classes=classes, dim=plain.shape[1])
    logits = []
    for penalty in PENALTIES:
        solution = solve(learnt, start=solution, penalty=penalty, label_smoothing=label_smoothing)
        logits.append(solution.logits(plain).numpy())
    return np.stack(logits)
