"""The settings of the finished head, by cross-validation over the training photos."""

from __future__ import annotations

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
from training.finishing.group_accuracy import FEWEST_GROUPS, numbered, unit_folds
from training.finishing.rows import MEMORY, Photos, Rows
from training.loop.history import photo_losses, standard_error
from training.model.head import Head, level_factors
from training.model.logistic_regression import Solution, solve

__all__ = [
    "MIDDLE_WEIGHTS",
    "PENALTIES",
    "Candidate",
    "Choice",
    "calibrated_losses",
    "cross_validate",
    "folds",
    "good_enough",
]

MIDDLE_WEIGHTS: Final = (0.0, 0.25, 0.5, 1.0)
"""Weights of the levels before the last, whose weight is 1: the simplest first."""

PENALTIES: Final = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
"""From strong to weak: each solution is where the next fit starts."""

FOLDS: Final = 3

FOLD_TOLERANCE: Final = 1e-4
"""Of a fold's fit. A finer one takes twice the time, and moved the held-out loss of clothing10 by 0.0003."""

_LOGITS: Final = 1_000_000
"""Logits of all rows, which the time of a fit grows with: 20,000 photos of ten classes in five views."""

_FEWEST_A_CLASS: Final = 4
"""Photos without which a class can hardly be in every fold, however many classes there are."""


@dataclass(frozen=True)
class Candidate:
    """A weight of the middle levels with its best penalty, and how it does on photos that are held out."""

    level_weights: list[float]
    penalty: float
    logits: NDArray[np.float32]
    """(images, classes): of photos by heads that had not learnt from them."""
    losses: NDArray[np.float64]
    """(images,): calibrated, and weighted by the photos' classes where these are weighted."""
    temperature: float
    """By which the logits are calibrated."""


@dataclass(frozen=True)
class Choice:
    """The candidates whose logits are averaged, and how the average does on photos that are held out."""

    members: list[Candidate]
    logits: NDArray[np.float32]
    """(images, classes): mean of the members' calibrated logits."""
    labels: NDArray[np.int64]
    """(images,)"""
    share: float
    """Share of the training photos that were tried. A penalty stands against the mean loss, so the more photos there
    are, the less of it they need: all of them take the penalties times this."""
    description: str
    """For the log."""


def cross_validate(
    head: Head,
    *,
    train: SplitFeatures,
    levels: Sequence[int],
    hyperparameters: contract.Hyperparameters,
    weights: Sequence[Sequence[float]] | None = None,
    groups: Sequence[str] = (),
) -> Choice:
    """Choose the weights of the middle levels and their penalties by the loss on photos that are held out in turn.

    Candidates are compared as they would be served, calibrated. Each weight of the middle levels takes the penalty
    with the lowest loss, and of the weights all are chosen whose loss is within one standard error of the lowest.

    Args:
        head: whose standardisation is used.
        train: learnt from in all views, and held out in the plain view.
        levels: sizes of the parts of a feature vector.
        hyperparameters: the training's.
        weights: of each level, the candidates; if not given, those of `MIDDLE_WEIGHTS` for all but the last level.
        groups: see `folds`.
    """
    if weights is None:
        weights = [[middle] * (len(levels) - 1) + [1.0] for middle in MIDDLE_WEIGHTS[-1 if len(levels) == 1 else 0 :]]
    classes = len(head.linear.bias)
    rng = np.random.default_rng(hyperparameters.seed)
    images = _sample(train, rng, classes=classes)
    labels = train.labels[images]
    of_classes = class_weights(class_counts(train.labels, classes=classes), wanted=hyperparameters.class_weights)
    fold_of = folds(labels, rng, groups=[groups[image] for image in images] if groups else ())

    def held_out(level_weights: Sequence[float]) -> NDArray[np.float32]:
        """Return every photo's logits by heads that learnt from the other folds, (penalties, images, classes)."""
        scale = head.scale * level_factors(levels, weights=level_weights)
        logits = np.zeros((len(PENALTIES), len(images), classes), dtype=np.float32)
        for fold in range(min(FOLDS, len(images))):
            learnt, held = images[fold_of != fold], images[fold_of == fold]
            logits[:, fold_of == fold] = _path(
                Rows([Photos(train, learnt, train.features.shape[0])], mean=head.mean, scale=scale),
                Rows([Photos(train, held, 1)], mean=head.mean, scale=scale),
                classes=classes,
                label_smoothing=hyperparameters.label_smoothing,
                of_classes=of_classes,
            )
        return logits

    # every weight with its best penalty
    candidates = []
    for each in weights:
        logits = held_out(each)
        losses = np.array([calibrated_losses(under_penalty, labels, of_classes) for under_penalty in logits])
        at = int(losses.mean(axis=1).argmin())
        candidates.append(
            Candidate(
                level_weights=list(each),
                penalty=PENALTIES[at],
                logits=logits[at].copy(),
                losses=losses[at],
                temperature=fit_temperature(logits[at], labels),
            )
        )

    # the best of them, averaged
    members = good_enough(candidates)
    calibrated = np.stack([each.logits / np.float32(each.temperature) for each in members])
    averaged: NDArray[np.float32] = calibrated.mean(axis=0)
    losses = calibrated_losses(averaged, labels, of_classes)
    used = "; ".join(_described(each, levels) for each in members)
    return Choice(
        members=members,
        logits=averaged,
        labels=labels,
        share=len(images) / len(train.labels),
        description=(
            f"logistic regression: {used}; the mean of {len(members)} of {len(candidates)} weights of the features, "
            f"each with the best of {len(PENALTIES)} penalties in {FOLDS}-fold cross-validation on {len(images)} "
            f"training photos: calibrated loss {losses.mean():.4f} (standard error {standard_error(losses):.4f}), "
            f"the best weight alone {min(each.losses.mean() for each in candidates):.4f}"
        ),
    )


def good_enough(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates whose mean loss is within one standard error, of the difference, of the lowest."""
    best = min(candidates, key=lambda each: float(each.losses.mean()))
    behind = ((each, each.losses - best.losses) for each in candidates)
    return [each for each, distance in behind if distance.mean() <= standard_error(distance)]


def calibrated_losses(
    logits: NDArray[np.float32], labels: NDArray[np.int64], class_weights: Tensor | None = None
) -> NDArray[np.float64]:
    """Return the cross-entropy of each photo, (images,), once the logits are divided by the temperature that fits.

    With class weights, each photo's loss is multiplied by its class's; the temperature is that of the photos as they
    are, which is the one to be served.
    """
    losses = photo_losses(logits.astype(np.float64) / fit_temperature(logits, labels), labels)
    return losses if class_weights is None else losses * class_weights.numpy()[labels]


def folds(
    labels: NDArray[np.int64], rng: np.random.Generator, *, number: int = FOLDS, groups: Sequence[str] = ()
) -> NDArray[np.int64]:
    """Return the fold of each photo, (images,): photos are dealt out class by class, so each fold has its share.

    Args:
        labels: (images,)
        rng: deals them out.
        number: of folds.
        groups: of each photo, an empty text where it has none. A group stays whole, where every class has enough of
            them for that: a head that had learnt from photos of a burst would know the others of it.
    """
    if any(groups):
        units = numbered(groups)
        if min(len(np.unique(units[labels == label])) for label in np.unique(labels)) >= FEWEST_GROUPS:
            return unit_folds(units, labels, rng=rng, number=number)
    fold_of = np.empty(len(labels), dtype=np.int64)
    fold_of[np.lexsort((rng.random(len(labels)), labels))] = np.arange(len(labels)) % number
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
    classes: int,
    label_smoothing: float,
    of_classes: Tensor | None,
) -> NDArray[np.float32]:
    """Return the logits of held-out photos under every penalty, (penalties, images, classes)."""
    plain = torch.cat([batch.features for batch in held])
    solution = Solution.zero(classes=classes, dim=plain.shape[1])
    logits = []
    for penalty in PENALTIES:
        solution = solve(
            learnt,
            start=solution,
            penalty=penalty,
            label_smoothing=label_smoothing,
            class_weights=of_classes,
            tolerance=FOLD_TOLERANCE,
        )
        logits.append(solution.logits(plain).numpy())
    return np.stack(logits)


def _described(candidate: Candidate, levels: Sequence[int]) -> str:
    """Return a candidate's settings in words."""
    edge = " (the edge of the range)" if candidate.penalty in (PENALTIES[0], PENALTIES[-1]) else ""
    used = " and ".join(f"{size} x {each:g}" for size, each in zip(levels, candidate.level_weights, strict=True))
    return f"features {used} with penalty {candidate.penalty:g}{edge}"
