"""Suspected labels: those that were flipped are named, and healthy ones are left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.doctor import labels as labels_module
from training.doctor.labels import LabelDoubts, doubt_labels
from training.model.logistic_regression import Batch, Solution, solve

CLASSES, DIM = 5, 256


def clusters(photos: int = 200, *, spread: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Standardised features of classes that can be told apart, and their labels."""
    rng = np.random.default_rng(1)
    truth = np.arange(photos) % CLASSES
    rows = rng.normal(0, 1.0, (CLASSES, DIM))[truth] + rng.normal(0, spread, (photos, DIM))
    return ((rows - rows.mean(axis=0)) / rows.std(axis=0)).astype(np.float32), truth


def flipped(truth: NDArray[np.int64], share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels of which a share is wrong, and the positions of those."""
    rng = np.random.default_rng(2)
    wrong = np.sort(rng.choice(len(truth), round(share * len(truth)), replace=False))
    given = truth.copy()
    given[wrong] = (truth[wrong] + rng.integers(1, CLASSES, len(wrong))) % CLASSES
    return given, wrong


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_flipped_labels_are_named_with_the_label_they_had(share: float) -> None:
    rows, truth = clusters()
    given, wrong = flipped(truth, share)
    doubts = doubt_labels(rows, given, classes=CLASSES)
    suspects = doubts.suspects()
    assert set(suspects) == set(wrong)
    assert (doubts.suggested[wrong] == truth[wrong]).all()
    assert (np.diff(doubts.scores[suspects]) <= 0).all(), "the most suspect first"


def test_healthy_labels_are_not_suspected_though_some_photos_are_hard() -> None:
    rows, truth = clusters(400, spread=5.5)
    doubts = doubt_labels(rows, truth, classes=CLASSES)
    assert 0.02 < (doubts.probabilities.argmax(axis=1) != truth).mean() < 0.2, "the classes overlap"
    assert len(doubts.suspects()) <= 0.01 * len(truth)


def test_no_photo_is_judged_by_a_model_that_learnt_from_its_copy() -> None:
    rows, truth = clusters(100)
    given = truth.copy()
    copies = np.arange(0, 40, 10)
    given[copies] = 1
    rows[copies] = rows[0]  # four copies of a photo of class 0, all called 1
    vouched = doubt_labels(rows, given, classes=CLASSES)
    together = np.arange(100)
    together[copies] = 0
    alone = doubt_labels(rows, given, classes=CLASSES, together=together)
    assert (alone.scores[copies] > vouched.scores[copies] + 1).all()
    assert set(copies) <= set(alone.suspects())


def test_a_class_of_few_photos_is_neither_judged_nor_suggested() -> None:
    rows, truth = clusters(100)
    few = np.flatnonzero(truth == 4)
    keep = np.setdiff1d(np.arange(100), few[3:])
    doubts = doubt_labels(rows[keep], truth[keep], classes=CLASSES)
    assert (doubts.scores[truth[keep] == 4] == -np.inf).all()
    assert not (doubts.suggested == 4).any()


def test_one_class_alone_gives_no_doubts() -> None:
    rows, _ = clusters(20)
    assert len(doubt_labels(rows, np.zeros(20, dtype=np.int64), classes=1).suspects()) == 0


def test_many_photos_are_learnt_from_in_part_and_judged_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, truth = clusters()
    given, wrong = flipped(truth, 0.05)
    monkeypatch.setattr(labels_module, "_LOGITS", 80 * CLASSES)
    learnt = []

    def counted(batches: list[Batch], **options: Any) -> Solution:
        learnt.append(sum(len(batch.labels) for batch in batches))
        return solve(batches, **options)

    monkeypatch.setattr(labels_module, "solve", counted)
    doubts = doubt_labels(rows, given, classes=CLASSES)
    assert set(learnt) == {80}
    assert set(wrong) <= set(doubts.suspects())


def test_where_many_labels_are_wrong_weaker_doubts_are_named_too() -> None:
    def doubts(strong: int, weak: int) -> LabelDoubts:
        scores = np.full(100, -5, dtype=np.float32)
        scores[:strong], scores[strong : strong + weak] = 5, 2.2
        return LabelDoubts(scores, np.zeros(100, dtype=np.int64), np.zeros((100, 2), dtype=np.float32))

    assert len(doubts(3, 3).suspects()) == 3
    assert len(doubts(10, 10).suspects()) == 20
