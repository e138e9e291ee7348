"""The accuracy on photos from elsewhere: cross-validation in which whole groups of photos are held out together.

Photos of one store, patient or burst are alike in more than their class, so a random split, which learns from some of
them and tests on others, promises too much. docs/decisions/honest-accuracy.md tells how well this keeps its promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import contract
from training.data.class_weights import class_counts, class_weights
from training.doctor.table import unit
from training.embedding.store import SplitFeatures
from training.evaluation.intervals import wilson
from training.evaluation.look_alikes import look_alikes
from training.finishing.rows import Photos, Rows
from training.model.logistic_regression import Solution, solve

__all__ = ["FEWEST_GROUPS", "HeadSettings", "group_accuracy", "groups_of", "numbered", "unit_folds"]

FOLDS: Final = 5

_MOST: Final = 8_000
"""Photos that are used of larger data sets: the accuracy is known well enough by then."""

_MOST_A_CLASS: Final = 1_000
"""Photos of a class: all pairs of them are compared."""

FEWEST_GROUPS: Final = 3
"""Groups of each class without which whole groups cannot be held out: a fold would hold nearly all of a class."""

_TOLERANCE: Final = 1e-4

Positions = NDArray[np.int64]

_Source = Literal["groups", "look-alikes"]


@dataclass(frozen=True)
class HeadSettings:
    """How a head is fitted: by logistic regression on scaled features."""

    mean: Tensor
    """(dim,)"""
    scale: Tensor
    """(dim,), with the weights of the levels."""
    strength: float
    """The penalty times the number of photos that it was chosen with: fewer photos need more of it."""
    label_smoothing: float
    class_weights: str


@dataclass(frozen=True)
class _Pool:
    """Photos of several splits as one table, of which only positions are in memory."""

    splits: Sequence[SplitFeatures]
    chosen: Positions
    """Positions over all splits, one split after the other; ascending."""

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.concatenate([split.labels for split in self.splits])[self.chosen]

    def photos(self, some: NDArray[np.bool_]) -> list[Photos]:
        """Return the plain views of some of the chosen photos, (chosen,)."""
        parts, start, wanted = [], 0, self.chosen[some]
        for split in self.splits:
            end = start + len(split.labels)
            here = wanted[(wanted >= start) & (wanted < end)] - start
            if len(here):
                parts.append(Photos(split, here, 1))
            start = end
        return parts


def groups_of(splits: Iterable[SplitFeatures], *, records: Iterable[contract.ImageRecord]) -> list[str]:
    """Return the group of each photo of the splits as the manifest names it, or an empty text."""
    named = {record["path"]: record["group"] for record in records if "group" in record}
    return [named.get(path, "") if named else "" for split in splits for path in split.paths]


def group_accuracy(
    splits: Sequence[SplitFeatures], *, groups: Sequence[str], settings: HeadSettings, classes: int, seed: int
) -> contract.GroupAccuracy | None:
    """Return the accuracy with whole groups held out, and that of the same photos held out one by one.

    Where no photo has a group, photos of one class that look alike are held out together.

    Args:
        splits: all photos.
        groups: of each photo, an empty text where it has none.
        settings: of the finished head.
        classes: number of classes.
        seed: of the folds, and of the photos that are used of many.

    Returns:
        None where no two photos belong together, or a class has fewer than three groups.
    """
    # the photos, and what belongs together
    rng = np.random.default_rng(seed)
    pool = _Pool(splits, _chosen(np.concatenate([split.labels for split in splits]), rng))
    labels = pool.labels
    source, group_of = _grouped([groups[at] for at in pool.chosen], pool=pool)
    count = int(group_of.max()) + 1
    of_class = [len(np.unique(group_of[labels == label])) for label in np.unique(labels)]
    if count == len(labels) or min(of_class) < FEWEST_GROUPS:
        return None

    # the same photos held out in both ways
    right = {
        by: _right(pool, unit_folds(units, labels, rng=rng), settings=settings, classes=classes)
        for by, units in (("group", group_of), ("photo", np.arange(len(labels))))
    }
    accuracy = float(right["group"].mean())
    return {
        "source": source,
        "groups": count,
        "images": len(labels),
        "accuracy": accuracy,
        "interval": _interval(right["group"], group_of),
        "accuracy_by_photo": float(right["photo"].mean()),
    }


def _chosen(labels: NDArray[np.int64], rng: np.random.Generator) -> Positions:
    """Return the positions of all photos, or of a random part of those of large classes and of many photos."""
    most = min(_MOST_A_CLASS, max(_MOST // (int(labels.max()) + 1), 2 * FEWEST_GROUPS))
    parts = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        parts.append(members if len(members) <= most else rng.choice(members, most, replace=False))
    return np.sort(np.concatenate(parts))


def _grouped(groups: Sequence[str], *, pool: _Pool) -> tuple[_Source, NDArray[np.int64]]:
    """Return where the groups come from, and the number of each photo's group; one without a group is its own."""
    if any(groups):
        return "groups", numbered(groups)
    every = np.ones(len(pool.chosen), dtype=bool)
    rows = [part.split.features[np.zeros(len(part.images), dtype=np.int64), part.images] for part in pool.photos(every)]
    return "look-alikes", look_alikes(unit(np.concatenate(rows)), pool.labels)


def numbered(groups: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each photo's group, from 0 on without a gap; a photo without a group is one of its own."""
    names = [group or f"\0{at}" for at, group in enumerate(groups)]
    numbers: Mapping[str, int] = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def unit_folds(
    units: NDArray[np.int64], labels: NDArray[np.int64], *, rng: np.random.Generator, number: int = FOLDS
) -> NDArray[np.int64]:
    """Return the fold of each photo, (photos,): units stay whole, the largest are dealt out first.

    Each goes to the fold that has the fewest photos of its classes so far.
    """
    sizes = np.bincount(units)
    members = np.split(np.argsort(units, kind="stable"), np.cumsum(sizes)[:-1])
    dealt = np.zeros((number, int(labels.max()) + 1))
    fold_of = np.zeros(len(units), dtype=np.int64)
    for unit_ in np.lexsort((rng.random(len(sizes)), -sizes)):
        of_classes, counts = np.unique(labels[members[unit_]], return_counts=True)
        fold = int(np.lexsort((dealt.sum(axis=1), dealt[:, of_classes] @ counts))[0])
        dealt[fold, of_classes] += counts
        fold_of[members[unit_]] = fold
    return fold_of


def _right(pool: _Pool, fold_of: NDArray[np.int64], *, settings: HeadSettings, classes: int) -> NDArray[np.float64]:
    """Return 1 for each photo that a head which learnt from the other folds classifies correctly, else 0."""
    labels = pool.labels
    of_classes = class_weights(class_counts(labels, classes=classes), wanted=settings.class_weights)
    right = np.zeros(len(labels))
    for fold in np.unique(fold_of):
        held = fold_of == fold
        learnt, tested = (Rows(pool.photos(some), mean=settings.mean, scale=settings.scale) for some in (~held, held))
        solution = solve(
            learnt,
            start=Solution.zero(classes=classes, dim=len(settings.mean)),
            penalty=settings.strength / len(labels),
            label_smoothing=settings.label_smoothing,
            class_weights=of_classes,
            tolerance=_TOLERANCE,
        )
        predicted = [solution.logits(batch.features).argmax(dim=1) == batch.labels for batch in tested]
        right[held] = torch.cat(predicted).numpy()
    return right


def _interval(right: NDArray[np.float64], group_of: NDArray[np.int64]) -> contract.Interval:
    """Return Wilson's interval for as many photos as the groups are worth.

    Photos of a group are right or wrong together, so that they tell less than as many drawn one by one. The variance of
    the accuracy as a ratio of sums over groups (Cochran, "Sampling Techniques", 1977, section 2.11) says how much less.
    """
    share, photos = float(right.mean()), len(right)
    groups = int(group_of.max()) + 1
    apart = np.bincount(group_of, weights=right - share)
    variance = groups / (groups - 1) * float(np.square(apart).sum()) / photos**2
    worth = share * (1 - share) / variance if variance > 0 else float(groups)
    worth = min(worth, photos)
    return wilson(share * worth, worth)
