from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import contract
from training.embedding.store import SplitFeatures
from training.loop.head_loop import fit, head_logits
from training.loop.history import Epoch, photo_losses, scores_of
from training.model.head import Head, new_head

LEVELS = [12, 4]


def blobs(images: int, *, views: int = 1, seed: int = 0) -> SplitFeatures:
    """Three classes around three points; one feature is constant, one a thousand times as large as the others."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 3
    centres = np.random.default_rng(99).normal(size=(3, 16))
    features = centres[labels] + 0.4 * rng.normal(size=(views, images, 16))
    features[:, :, 3] = 7
    features[:, :, 5] *= 1000
    return SplitFeatures(features=features.astype(np.float32), labels=labels, paths=[str(n) for n in range(images)])


def trained(**values: float | int) -> tuple[Head, list[Epoch]]:
    torch.manual_seed(0)
    train = blobs(120, views=3)
    head = new_head(train.features, levels=LEVELS, classes=3)
    hyperparameters = contract.Hyperparameters(**{"epochs": 5, "learning_rate": 0.05, "batch_size": 16, **values})  # type: ignore[arg-type]
    return head, list(fit(head, train=train, validation=blobs(60, seed=1), hyperparameters=hyperparameters))


def test_learns_what_can_be_learnt() -> None:
    _, epochs = trained()
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4, 5]
    assert epochs[-1].validation.accuracy > 0.95
    assert epochs[-1].train_loss < epochs[0].train_loss


def test_the_same_seed_gives_the_same_head_and_another_seed_another() -> None:
    first, again, other = trained()[0], trained()[0], trained(seed=1)[0]
    assert torch.equal(first.linear.weight, again.linear.weight)
    assert not torch.equal(first.linear.weight, other.linear.weight)


def test_training_sees_the_augmented_views() -> None:
    train = blobs(120, views=3)
    plain_only = SplitFeatures(features=np.asarray(train.features)[:1], labels=train.labels, paths=train.paths)
    hyperparameters = contract.Hyperparameters(epochs=1, batch_size=16)
    heads = []
    for split in (train, plain_only):
        head = new_head(train.features, levels=LEVELS, classes=3)
        list(fit(head, train=split, validation=blobs(30), hyperparameters=hyperparameters))
        heads.append(head.linear.weight)
    assert not torch.equal(*heads)


def test_an_untrained_head_thinks_all_classes_alike() -> None:
    train = blobs(30)
    scores = scores_of(head_logits(new_head(train.features, levels=LEVELS, classes=3), train), train.labels)
    assert scores.loss == pytest.approx(np.log(3), rel=1e-5)


def test_evaluation_does_not_depend_on_how_it_is_cut() -> None:
    head, _ = trained()
    split = blobs(50)
    whole = scores_of(head_logits(head, split), split.labels)
    cut = scores_of(head_logits(copy.deepcopy(head), split, chunk=7), split.labels)
    assert whole.accuracy == cut.accuracy
    assert whole.loss == pytest.approx(cut.loss, rel=1e-5)
    assert (whole.predictions == cut.predictions).all()


def imbalanced(images: int, *, seed: int = 0) -> SplitFeatures:
    """Two classes that overlap, with nine photos of the first for each of the second."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(images) % 10 == 0).astype(np.int64)
    features = labels[:, None] + rng.normal(size=(1, images, 4))
    return SplitFeatures(features=features.astype(np.float32), labels=labels, paths=[""] * images)


def test_rare_classes_are_found_more_often_where_classes_are_weighted() -> None:
    recalls = {}
    for wanted in contract.CLASS_WEIGHTS:
        train, test = imbalanced(300), imbalanced(1000, seed=1)
        head = new_head(train.features, levels=[4], classes=2)
        values = contract.Hyperparameters(epochs=20, learning_rate=0.05, batch_size=50, class_weights=wanted)
        list(fit(head, train=train, validation=test, hyperparameters=values))
        right = head_logits(head, test).argmax(axis=1) == test.labels
        recalls[wanted] = [float(right[test.labels == label].mean()) for label in (0, 1)]
    assert recalls["auto"] == recalls["balanced"]
    assert recalls["none"][1] < 0.6
    assert min(recalls["auto"]) > 0.75


def test_a_weighted_step_is_that_of_a_batch_in_which_each_class_is_as_frequent() -> None:
    """One step over all photos: the gradient is a mean over the photos, whichever class a batch has most of."""
    train = imbalanced(40)
    head = new_head(train.features, levels=[4], classes=2)
    with torch.no_grad():
        head.linear.weight.copy_(torch.arange(8.0).view(2, 4) / 8)
    before = head_logits(head, train).astype(np.float64)
    values = contract.Hyperparameters(epochs=1, batch_size=40)
    (epoch,) = fit(head, train=train, validation=train, hyperparameters=values)
    per_class = [photo_losses(before, train.labels)[train.labels == label].mean() for label in (0, 1)]
    assert epoch.train_loss == pytest.approx(np.mean(per_class), rel=1e-4)
