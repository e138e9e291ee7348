"""Distances by hand on small numbers, and beside Mahalanobis distances of the textbook."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.model import distance as distance_module
from training.model.distance import PARTS, Distance, fit_distance

DIM = 12


def small() -> Distance:
    """Features of three numbers: two components, the second whitened by 1/2, two classes at -1 and 1 of the first."""
    return Distance(
        mean=torch.tensor([1.0, 1.0, 1.0]),
        scale=torch.tensor([1.0, 1.0, 2.0]),
        components=torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]),
        whitening=torch.tensor([[1.0, 0.0], [0.0, 0.5]]),
        centre=torch.tensor([0.0, 0.0]),
        discriminants=torch.tensor([[1.0], [0.0]]),
        class_centres=torch.tensor([[-1.0], [1.0]]),
        remainder=torch.tensor(0.25),
    )


def test_the_parts_are_those_by_hand() -> None:
    """The first photo is (2, 4, 4) from the mean, its components whitened (2, 2), and 4 x 4 / 4 left out."""
    features = torch.tensor([[3.0, 5.0, 3.0], [0.0, 1.0, 1.0]])
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    parts = small().parts(features, logits, torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    torch.testing.assert_close(parts, torch.tensor([[1.0 + 4.0 + 4.0, 1.0, -1.0, 0.0], [0, 0, 0, float(np.log(2))]]))


def test_the_distance_is_the_weighted_sum_of_what_goes_beyond_the_offsets() -> None:
    distance = small()
    distance.offsets.copy_(torch.tensor([10.0, 0.5, -3.0, 0.0]))
    distance.weights.copy_(torch.tensor([[100.0], [2.0], [0.25], [1.0]]))
    features = torch.tensor([[3.0, 5.0, 3.0]])
    found = distance(features, torch.tensor([[2.0, 0.0]]), torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(found, torch.tensor([0.5 * 2 + 2.0 * 0.25 + float(np.log(2))]))


def photos(*, classes: int = 4, each: int = 300, views: int = 1, seed: int = 0) -> tuple[Tensor, NDArray[np.int64]]:
    """Features (views, images, DIM) of normal classes with a common covariance, sizes far apart."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    mixing = np.random.default_rng(9).normal(size=(DIM, DIM)) * np.logspace(0, 1, DIM)
    means = np.random.default_rng(8).normal(size=(classes, DIM)) * 20
    features = means[labels] + rng.normal(size=(views, len(labels), DIM)) @ mixing
    return torch.from_numpy(features.astype(np.float32)), labels


def mahalanobis(distance: Distance, features: Tensor) -> NDArray[np.float32]:
    logits = torch.zeros(len(features), 2)
    return distance.parts(features, logits, torch.softmax(logits, dim=1))[:, 0].numpy()


@pytest.mark.parametrize("rank", [DIM, 7])
def test_it_is_the_mahalanobis_distance_to_the_nearest_class(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    """With all components exactly; with some, photos that are far stay far."""
    monkeypatch.setattr(distance_module, "RANK", rank)
    features, labels = photos()
    distance = fit_distance(features.numpy(), labels, levels=[DIM], seed=0)
    other = photos(seed=1)[0][0]

    # the textbook's, on standardised features, shrunk
    scaled = ((features[0] - distance.mean) * distance.scale).double().numpy()
    asked = ((other - distance.mean) * distance.scale).double().numpy()
    means = np.stack([scaled[labels == label].mean(axis=0) for label in range(4)])
    covariance = np.cov((scaled - means[labels]).T, bias=True)
    covariance = 0.9 * covariance + 0.1 * np.trace(covariance) / DIM * np.eye(DIM)
    around = asked[:, np.newaxis] - means
    expected = np.einsum("ncd,de,nce->nc", around, np.linalg.inv(covariance), around).min(axis=1)

    found = mahalanobis(distance, other)
    if rank == DIM:
        np.testing.assert_allclose(found, expected, rtol=2e-3)
    assert (mahalanobis(distance, other + 100) > np.quantile(found, 0.99)).all()


def test_what_the_components_leave_out_has_its_mean_variance_shrunk_like_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distance_module, "RANK", 5)
    features, labels = photos()
    distance = fit_distance(features.numpy(), labels, levels=[DIM], seed=0)
    scaled = ((features[0] - distance.mean) * distance.scale).double().numpy()
    values = scaled @ distance.components.double().numpy()
    left_out = (np.square(scaled).sum() - np.square(values).sum()) / len(scaled)
    around = values - np.stack([values[labels == label].mean(axis=0) for label in range(4)])[labels]
    mean_variance = (np.square(around).sum() / len(around) + left_out) / DIM
    assert left_out > 0.05 * mean_variance * DIM, "enough to tell"
    expected = 0.9 * left_out / (DIM - 5) + 0.1 * mean_variance
    assert 1 / float(distance.remainder) == pytest.approx(expected, rel=1e-3)


def test_the_discriminants_hold_all_that_tells_the_classes_apart() -> None:
    features, labels = photos()
    distance = fit_distance(features.numpy(), labels, levels=[DIM], seed=0)
    assert distance.discriminants.shape[1] == 3, "four classes differ in three directions"
    logits = torch.zeros(len(labels), 2)
    parts = distance.parts(features[0], logits, torch.softmax(logits, dim=1))
    assert (parts[:, 1] <= parts[:, 0] + 1e-3).all()


def test_photos_of_every_class_are_taken_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded: 40 of 900 photos, and as many views of them as 100 rows allow."""
    monkeypatch.setattr(distance_module, "PHOTOS", 40)
    monkeypatch.setattr(distance_module, "ROWS", 100)
    monkeypatch.setattr(distance_module, "_CHUNK", 64)
    features, labels = photos(classes=3, each=300, views=5)
    # a rare class
    labels[:] = np.where(np.arange(len(labels)) < 4, 2, labels % 2)
    rows, classes = distance_module._rows(features.numpy(), labels, seed=0)
    assert rows.shape == (80, DIM)
    assert np.bincount(classes).tolist() == [36, 36, 8], "all four photos of the rare class, in two views"
    for row, label in zip(rows[:40], classes[:40], strict=True):
        (place,) = np.flatnonzero((features[0].numpy() == row).all(axis=1))
        assert labels[place] == label


def test_the_same_photos_and_seed_give_the_same_distance() -> None:
    features, labels = photos(each=50)
    one, two = (fit_distance(features.numpy(), labels, levels=[4, 8], seed=3) for _ in range(2))
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, two.state_dict()[name], rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["one photo", "one a class", "all alike", "a class without photos", "a dead feature"])
def test_odd_training_photos_give_finite_distances(kind: str) -> None:
    features, labels = photos(classes=3, each=5)
    if kind == "one photo":
        features, labels = features[:, :1], labels[:1]
    elif kind == "one a class":
        features, labels = features[:, ::5], labels[::5]
    elif kind == "all alike":
        features = features[:, :1].expand(1, len(labels), DIM)
    elif kind == "a class without photos":
        labels = labels * 2
    else:
        features[:, :, 0] = 3.0
    distance = fit_distance(features.numpy(), labels, levels=[DIM], seed=0)
    other = photos(seed=1)[0][0]
    logits = torch.zeros(len(other), 3)
    found = distance.parts(other, logits, torch.softmax(logits, dim=1))
    assert found.shape == (len(other), len(PARTS))
    assert torch.isfinite(found).all()
