"""The rule of choice, and the folds."""

from __future__ import annotations

import numpy as np
import pytest

import contract
from training.embedding.store import SplitFeatures
from training.finishing import cross_validation
from training.finishing.cross_validation import PENALTIES, cross_validate, folds, simplest
from training.model.head import new_head


def losses(means: list[list[float]], *, noise: float = 0.0) -> np.ndarray:
    """Losses of 100 photos with these means; what differs between two candidates is noise of its own."""
    table = np.array(means)
    drawn = np.random.default_rng(0).normal(size=(*table.shape, 100))
    drawn -= drawn.mean(axis=2, keepdims=True)
    return table[..., None] + noise * drawn


def test_the_lowest_loss_is_taken_where_it_is_clearly_lower() -> None:
    assert simplest(losses([[0.9, 0.5, 0.8], [0.9, 0.4, 0.8]])) == (1, 1)


def test_the_simplest_within_one_standard_error_is_taken() -> None:
    # the difference of two candidates has a standard error of 0.1 x sqrt(2) / 10
    means = [[0.5, 0.45, 0.41], [0.5, 0.42, 0.40]]
    assert simplest(losses(means, noise=0.1)) == (0, 2)
    assert simplest(losses([[0.5, 0.45, 0.43], [0.5, 0.41, 0.40]], noise=0.1)) == (1, 1)


def test_each_fold_has_its_share_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [30, 7, 1])
    fold_of = folds(labels, np.random.default_rng(0))
    counts = np.array([np.bincount(labels[fold_of == fold], minlength=3) for fold in range(3)])
    assert counts.sum(axis=0).tolist() == [30, 7, 1]
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
    other = folds(labels, np.random.default_rng(1))
    assert (fold_of != other).any()


@pytest.mark.parametrize("images", [2, 4, 7])
def test_a_handful_of_photos_is_enough(images: int) -> None:
    labels = np.arange(images) % 2
    features = np.random.default_rng(0).normal(size=(2, images, 6)) + labels[:, None]
    train = SplitFeatures(features.astype(np.float32), labels, [""] * images)
    head = new_head(train.features, levels=[2, 4], classes=2)
    choice = cross_validate(head, train=train, levels=[2, 4], hyperparameters=contract.Hyperparameters())
    assert np.isfinite(choice.logits).all()
    assert len(choice.labels) == images


@pytest.mark.parametrize(
    ("limit", "value"),
    [("MEMORY", 4 * 100 * (6 + 2 * len(PENALTIES))), ("_LOGITS", 200)],
    ids=["memory", "time"],
)
def test_of_many_photos_a_sample_is_tried_and_the_penalty_weakened_accordingly(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    labels = np.arange(200) % 2
    features = np.random.default_rng(0).normal(size=(1, 200, 6)) + labels[:, None]
    train = SplitFeatures(features.astype(np.float32), labels, [""] * 200)
    monkeypatch.setattr(cross_validation, limit, value)
    head = new_head(train.features, levels=[2, 4], classes=2)
    choice = cross_validate(head, train=train, levels=[2, 4], hyperparameters=contract.Hyperparameters())
    assert len(choice.labels) == 100
    assert any(choice.penalty == pytest.approx(penalty / 2) for penalty in PENALTIES)


def test_a_penalty_at_the_edge_of_its_range_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(60) % 2
    features = np.random.default_rng(0).normal(size=(1, 60, 6)) + 0.5 * labels[:, None]
    train = SplitFeatures(features.astype(np.float32), labels, [""] * 60)
    head = new_head(train.features, levels=[2, 4], classes=2)
    monkeypatch.setattr(cross_validation, "PENALTIES", (1e-1, 1e-2, 1e-3))
    for penalty, said in enumerate(["penalty 0.1 (the edge of the range)", "penalty 0.01,", "penalty 0.001 (the edge"]):
        monkeypatch.setattr(cross_validation, "simplest", lambda _losses, penalty=penalty: (0, penalty))
        choice = cross_validate(head, train=train, levels=[2, 4], hyperparameters=contract.Hyperparameters())
        assert said in choice.description
