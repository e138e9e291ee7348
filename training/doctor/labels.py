"""Suspected wrong labels: confident learning on out-of-fold probabilities of logistic regression.

A label is suspect where a model that has not learnt from the photo is sure of another class (C. G. Northcutt, L. Jiang
and I. L. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021). The model is fitted
three times: from the second on, each photo counts as much as the model before believes its label, so that wrong labels
teach little. How this and the threshold were chosen: docs/decisions/doctor.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from training.model.logistic_regression import Batch, Solution, solve

__all__ = ["FEWEST", "SUSPECT", "LabelDoubts", "doubt_labels"]

SUSPECT: Final = 3.5
"""Logarithm of how many times as probable the other class must be: 33 times."""

LOOSER: Final = ((2.0, 0.11), (2.5, 0.08), (3.0, 0.045))
"""Lower limits, each with the share of all photos that must lie above it for the limit to hold: four times the largest
share that does so in a healthy data set. So where many labels are wrong, more of them are named."""

FEWEST: Final = 4
"""Photos that a class needs before its labels are judged: with fewer, a fold may have none of it to learn from."""

FOLDS: Final = 5

PENALTY: Final = 0.1
"""Strong enough that single wrong labels are not learnt by heart; a head that is to be served has 0.0003 to 0.03."""

_SQUARES: Final = 1728
"""Mean sum of squares of a photo's features for which the penalty was chosen: that many standardised features."""

_TURNS: Final = 3
"""Times the model is fitted, each time with the photos' labels believed as much as the time before said."""

_LOGITS: Final = 2_000_000
"""Photos times classes that a fold learns from, which its time grows with."""

_TOLERANCE: Final = 1e-4


@dataclass(frozen=True)
class LabelDoubts:
    """How much is to be said against each photo's label."""

    scores: NDArray[np.float32]
    """(photos,): logarithm of the odds of the best other class against the label; minus infinity: not judged."""
    suggested: NDArray[np.int64]
    """(photos,): the best other class."""
    probabilities: NDArray[np.float32]
    """(photos, classes): by models that had not learnt from the photo."""

    def suspects(self) -> NDArray[np.int64]:
        """Return the positions of the photos whose labels are suspect, the most suspect first."""
        limit = next((limit for limit, share in LOOSER if (self.scores > limit).mean() >= share), SUSPECT)
        order = np.argsort(-self.scores, kind="stable")
        suspected: NDArray[np.int64] = order[self.scores[order] > limit]
        return suspected


def doubt_labels(
    rows: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    classes: int,
    together: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> LabelDoubts:
    """Return the doubts about every photo's label; there are none about those of classes with fewer than four photos.

    Args:
        rows: standardised features, (photos, dim).
        labels: int64, (photos,).
        classes: number of classes.
        together: for each photo the position of one that must be held out with it, such as the first of its copies:
            a copy with the same wrong label would vouch for it.
        seed: of the folds.
    """
    photos = np.arange(len(labels))
    judged = np.bincount(labels, minlength=classes) >= FEWEST
    known = judged[labels]

    # for features of another number, the penalty must weigh as much
    squares = float(np.square(rows, dtype=np.float64).sum() / max(len(rows), 1))
    rows = rows * np.float32(np.sqrt(_SQUARES / max(squares, 1e-9)))

    # at first all labels alike, then by how much each is believed
    weights = known.astype(np.float32)
    probabilities = np.full((len(labels), classes), 1 / classes, dtype=np.float32)
    if judged.sum() >= 2:
        for turn in range(_TURNS):
            rng = np.random.default_rng([seed, turn])
            fold_of = _folds(labels, rng)[photos if together is None else together]
            probabilities = _out_of_fold(rows, labels, fold_of, weights=weights, classes=classes, rng=rng)
            believed = probabilities[photos, labels] / probabilities.max(axis=1)
            weights = np.where(known, believed, 0).astype(np.float32)

    # the best other class that can be judged
    others = np.where(judged, probabilities, 0)
    others[photos, labels] = 0
    suggested = others.argmax(axis=1)
    odds = np.log(np.maximum(others[photos, suggested], 1e-9)) - np.log(np.maximum(probabilities[photos, labels], 1e-9))
    scores = np.where(known, odds, -np.inf).astype(np.float32)
    return LabelDoubts(scores=scores, suggested=suggested, probabilities=probabilities)


def _folds(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold of each photo, (photos,): photos are dealt out class by class, so each fold has its share."""
    fold_of = np.empty(len(labels), dtype=np.int64)
    fold_of[np.lexsort((rng.random(len(labels)), labels))] = np.arange(len(labels)) % FOLDS
    return fold_of


def _out_of_fold(
    rows: NDArray[np.float32],
    labels: NDArray[np.int64],
    fold_of: NDArray[np.int64],
    *,
    weights: NDArray[np.float32],
    classes: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return each photo's probabilities by a model of the other folds, (photos, classes)."""
    probabilities = np.empty((len(labels), classes), dtype=np.float32)
    solution = Solution.zero(classes=classes, dim=rows.shape[1])
    for fold in range(FOLDS):
        # a random part of the other folds, where they are too many
        learnt, held = np.flatnonzero((fold_of != fold) & (weights > 0)), np.flatnonzero(fold_of == fold)
        most = max(_LOGITS // classes, FEWEST * classes)
        if len(learnt) > most:
            learnt = np.sort(rng.choice(learnt, size=most, replace=False))

        batch = Batch(*(torch.from_numpy(values[learnt]) for values in (rows, labels, weights)))
        solution = solve([batch], start=solution, penalty=PENALTY, tolerance=_TOLERANCE)
        logits = solution.logits(torch.from_numpy(rows[held]))
        probabilities[held] = torch.softmax(logits, dim=1).numpy()
    return probabilities
