"""The accuracy with whole groups held out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import contract
from training.embedding.store import SplitFeatures
from training.evaluation.intervals import wilson
from training.finishing import group_accuracy as module
from training.finishing.group_accuracy import FOLDS, HeadSettings, group_accuracy, groups_of

CLASSES, STORES, EACH, DIM = 4, 12, 5, 64
SETTINGS = HeadSettings(
    mean=torch.zeros(DIM),
    scale=torch.ones(DIM),
    strength=0.01 * CLASSES * STORES * EACH,
    label_smoothing=0.0,
    class_weights="none",
)


def shelves(*, burst: float, noise: float = 0.3) -> tuple[list[SplitFeatures], list[str]]:
    """Photos of every class in every store, where those of one store and class are alike by `burst`; three splits."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), STORES * EACH)
    shelf = np.repeat(np.arange(CLASSES * STORES), EACH)
    rows = (
        rng.normal(0, 0.25, (CLASSES, DIM))[labels]
        + burst * rng.normal(0, 1, (CLASSES * STORES, DIM))[shelf]
        + noise * rng.normal(0, 1, (len(labels), DIM))
    ).astype(np.float32)
    order = rng.permutation(len(labels))
    paths = [f"{label}/shelf{number}.jpg" for label, number in zip(labels, shelf, strict=True)]
    splits = [
        SplitFeatures(np.stack([rows[some], -rows[some]]), labels[some].astype(np.int64), [paths[at] for at in some])
        for some in np.split(order, [140, 190])
    ]
    return splits, [paths[at] for at in order]


def told(splits: list[SplitFeatures], groups: list[str]) -> contract.GroupAccuracy | None:
    return group_accuracy(splits, groups=groups, settings=SETTINGS, classes=CLASSES, seed=0)


def test_named_groups_are_held_out_whole() -> None:
    splits, shelf_of = shelves(burst=0.9)
    found = told(splits, shelf_of)
    assert found is not None
    assert (found["source"], found["groups"], found["images"]) == ("groups", CLASSES * STORES, 240)
    assert found["accuracy_by_photo"] > 0.97
    assert found["accuracy"] < found["accuracy_by_photo"] - 0.1
    # 48 groups know less than 240 photos
    interval = found["interval"]
    alone = wilson(found["accuracy"] * 240, 240)
    assert interval["high"] - interval["low"] > 1.3 * (alone["high"] - alone["low"])


@pytest.mark.parametrize(
    ("right", "worth"),
    [
        ([1, 1, 0, 0, 1, 1], 2.0),  # variance 3/2 x (4 + 16 + 4)/9 / 36 = 1/9 of the share 2/3
        ([1, 1, 1, 1, 1, 1], 3.0),  # as many as there are groups
        ([1, 0, 1, 0, 0, 1], 3.0),  # the groups are alike: their variance is 0
    ],
)
def test_the_interval_is_that_of_as_many_photos_as_the_groups_are_worth(right: list[int], worth: float) -> None:
    share = sum(right) / 6
    found = module._interval(np.array(right, dtype=np.float64), np.array([0, 0, 1, 1, 2, 2]))
    assert found == pytest.approx(wilson(share * worth, worth))


def test_without_names_photos_that_look_alike_are_held_out_together() -> None:
    splits, shelf_of = shelves(burst=0.9)
    named, seen = told(splits, shelf_of), told(splits, [""] * 240)
    assert named is not None
    assert seen is not None
    assert seen["source"] == "look-alikes"
    assert seen["groups"] == CLASSES * STORES
    assert seen["accuracy"] == pytest.approx(named["accuracy"], abs=0.08)


def test_where_no_two_photos_look_alike_there_is_nothing_to_tell() -> None:
    splits, _ = shelves(burst=0.0, noise=1.0)
    assert told(splits, [""] * 240) is None


def test_a_class_of_two_groups_cannot_be_held_out() -> None:
    splits, shelf_of = shelves(burst=0.9)
    few = [name if not name.startswith("0/") else f"0/{int(name[7:-4]) % 2}" for name in shelf_of]
    assert told(splits, few) is None


def test_a_photo_without_a_group_is_one_of_its_own() -> None:
    splits, shelf_of = shelves(burst=0.9)
    some = [name if at % 2 else "" for at, name in enumerate(shelf_of)]
    found = told(splits, some)
    assert found is not None
    assert found["groups"] == 120 + len(set(some) - {""})


def test_no_fold_divides_a_unit_and_all_have_their_share() -> None:
    rng = np.random.default_rng(0)
    units: NDArray[np.int64] = rng.integers(0, 60, 300)
    units = np.unique(units, return_inverse=True)[1]
    labels = units % 3
    fold_of = module.unit_folds(units, labels, rng=rng)
    assert all(len(np.unique(fold_of[units == unit])) == 1 for unit in np.unique(units))
    assert len(np.unique(fold_of)) == FOLDS
    for label in range(3):
        counts = np.bincount(fold_of[labels == label], minlength=FOLDS)
        assert counts.max() <= 1.5 * counts.min()


def test_of_many_photos_some_of_every_class_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_A_CLASS", 40)
    splits, shelf_of = shelves(burst=0.9)
    found = told(splits, shelf_of)
    assert found is not None
    assert found["images"] == 40 * CLASSES
    assert found["accuracy"] < found["accuracy_by_photo"]


def test_the_groups_are_the_manifests() -> None:
    splits = [SplitFeatures(np.zeros((1, 2, 4), np.float32), np.zeros(2, np.int64), ["a.jpg", "b.jpg"])]
    record: contract.ImageRecord = {"path": "b.jpg", "label": 0, "split": "test", "etag": "e"}
    assert groups_of(splits, records=[record]) == ["", ""]
    assert groups_of(splits, records=[{**record, "group": "store 7"}]) == ["", "store 7"]
