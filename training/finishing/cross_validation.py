"""The settings of the finished head, by cross-validation over the training photos."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import contract
from training.data.class_weights import class_counts, class_weights
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

_TOLERANCE: Final = 1e-4
"""Of a candidate's fit. A finer one takes twice the time, and moved the held-out loss of clothing10 by 0.0003."""

_LOGITS: Final = 1_000_000
"""Logits of all rows, which the time of a fit grows with: 20,000 photos of ten classes in five views."""

_FEWEST_A_CLASS: Final = 4
"""Photos without which a class can hardly be in every fold, however many classes there are."""


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
    head: Head,
    *,
    train: SplitFeatures,
    levels: Sequence[int],
    hyperparameters: contract.Hyperparameters,
    weights: Sequence[Sequence[float]] | None = None,
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
        weights: of each level, the candidates; if not given, those of `MIDDLE_WEIGHTS` for all but the last level.
    """
    if weights is None:
        weights = [[middle] * (len(levels) - 1) + [1.0] for middle in MIDDLE_WEIGHTS[-1 if len(levels) == 1 else 0 :]]
    classes = len(head.linear.bias)
    rng = np.random.default_rng(hyperparameters.seed)
    images = _sample(train, rng, classes=classes)
    labels = train.labels[images]
    of_classes = class_weights(class_counts(train.labels, classes=classes), wanted=hyperparameters.class_weights)
    fold_of = folds(labels, rng)

    def held_out(level_weights: Sequence[float], penalties: Sequence[float]) -> NDArray[np.float32]:
        """Return every photo's logits by heads that learnt from the other folds, (penalties, images, classes)."""
        scale = head.scale * level_factors(levels, weights=level_weights)
        logits = np.zeros((len(penalties), len(images), classes), dtype=np.float32)
        for fold in range(min(FOLDS, len(images))):
            learnt, held = images[fold_of != fold], images[fold_of == fold]
            logits[:, fold_of == fold] = _path(
                Rows([Photos(train, learnt, train.features.shape[0])], mean=head.mean, scale=scale),
                Rows([Photos(train, held, 1)], mean=head.mean, scale=scale),
                penalties=penalties,
                classes=classes,
                label_smoothing=hyperparameters.label_smoothing,
                of_classes=of_classes,
            )
        return logits

    # the choice by every candidate's losses; its logits once more, since all of them would fill the memory
    losses = np.array(
        [[calibrated_losses(logits, labels, of_classes) for logits in held_out(each, PENALTIES)] for each in weights]
    )
    weight, at = simplest(losses)
    level_weights, penalty, chosen = list(weights[weight]), PENALTIES[at], losses[weight, at]
    (logits,) = held_out(level_weights, [penalty])

    edge = " (the edge of the range)" if at in (0, len(PENALTIES) - 1) else ""
    used = " and ".join(f"{size} x {each:g}" for size, each in zip(levels, level_weights, strict=True))
    return Choice(
        level_weights=level_weights,
        # The penalty stands against the mean loss, so the more photos there are, the less of it they need.
        penalty=penalty * len(images) / len(train.labels),
        logits=logits,
        labels=labels,
        description=(
            f"logistic regression: penalty {penalty:g}{edge}, features {used}, chosen from "
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


def calibrated_losses(
    logits: NDArray[np.float32], labels: NDArray[np.int64], class_weights: Tensor | None = None
) -> NDArray[np.float64]:
    """Return the cross-entropy of each photo, (images,), once the logits are divided by the temperature that fits.

    With class weights, each photo's loss is multiplied by its class's; the temperature is that of the photos as they
    are, which is the one to be served.
    """
    losses = photo_losses(logits.astype(np.float64) / fit_temperature(logits, labels), labels)
    return losses if class_weights is None else losses * class_weights.numpy()[labels]


def folds(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold of each photo, (images,): photos are dealt out class by class, so each fold has its share."""
    fold_of = np.empty(len(labels), dtype=np.int64)
    fold_of[np.lexsort((rng.random(len(labels)), labels))] = np.arange(len(labels)) % FOLDS
    return fold_of


def _sample(train: SplitFeatures, rng: np.random.Generator, *, classes: int) -> NDArray[np.int64]:
    """Return the positions of all photos, or of as many random ones as memory and time allow."""
    views, images, dim = train.features.shape
    in_memory = MEMORY // (4 * (views * dim + len(PENALTIES) * classes))
    in_time = max(_LOGITS // (views * classes), _FEWEST_A_CLASS * classes)
    most = min(in_memory, in_time)
    if images <= most:
        return np.arange(images)
    return np.sort(rng.choice(images, size=most, replace=False))


def _path(
    learnt: Rows,
    held: Rows,
    *,
    penalties: Sequence[float],
    classes: int,
    label_smoothing: float,
    of_classes: Tensor | None,
) -> NDArray[np.float32]:
    """Return the logits of held-out photos under every penalty, (penalties, images, classes)."""
    plain = torch.cat([batch.features for batch in held])
    solution = Solution.zero(classes=classes, dim=plain.shape[1])
    logits = []
    for penalty in penalties:
        solution = solve(
            learnt,
            start=solution,
            penalty=penalty,
            label_smoothing=label_smoothing,
            class_weights=of_classes,
            tolerance=_TOLERANCE,
        )
        logits.append(solution.logits(plain).numpy())
    return np.stack(logits)
