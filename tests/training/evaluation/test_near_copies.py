"""Near-copies among the test photos: what counts as one, whatever a data set's photos have in common."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.embedding.store import SplitFeatures
from training.evaluation import near_copies as module
from training.evaluation.near_copies import find_near_copies, is_near_copy, near_copies

Rows = NDArray[np.float32]


def split(rows: Rows, name: str) -> SplitFeatures:
    """A split whose second view is another picture, which must not count."""
    views = np.stack([rows, -rows])
    return SplitFeatures(views, np.arange(len(rows)) % 2, [f"{name}/{at}.jpg" for at in range(len(rows))])


def photos(count: int, *, seed: int, alike: float = 0.0) -> Rows:
    """Features whose cosines with one another are about `alike`."""
    common = np.random.default_rng(99).normal(0, 1, (1, 400))
    own = np.random.default_rng(seed).normal(0, 1, (count, 400))
    rows: Rows = (alike**0.5 * common + (1 - alike) ** 0.5 * own).astype(np.float32)
    return rows


def resaved(rows: Rows, *, noise: float = 0.15) -> Rows:
    changed: Rows = (rows + np.random.default_rng(7).normal(0, noise, rows.shape)).astype(np.float32)
    return changed


@pytest.mark.parametrize("alike", [0.0, 0.93], ids=["photos", "handwritten digits"])
def test_copies_are_found_in_every_split_that_was_learnt_from_and_healthy_photos_are_not(
    monkeypatch: pytest.MonkeyPatch, alike: float
) -> None:
    monkeypatch.setattr(module, "_BATCH", 4)  # blocks end between the photos
    test = photos(10, seed=0, alike=alike)
    noise = 0.15 * (1 - alike) ** 0.5
    train = split(np.concatenate([photos(20, seed=1, alike=alike), resaved(test[[3, 0]], noise=noise)]), "train")
    validation = split(np.concatenate([resaved(test[[8]], noise=noise), photos(9, seed=2, alike=alike)]), "valid")
    found = find_near_copies([train, validation], split(test, "test"))
    assert [(copy["path"], copy["trained"]) for copy in found] == [
        ("test/0.jpg", "train/21.jpg"),
        ("test/3.jpg", "train/20.jpg"),
        ("test/8.jpg", "valid/0.jpg"),
    ]
    assert all(0.95 < copy["cosine"] < 1 for copy in found)


def test_a_near_photo_is_a_copy_where_the_others_are_farther() -> None:
    cosines = np.array(
        [
            [0.90, 0.60, 0.60, 0.60, 0.60],  # cropped
            [0.90, 0.88, 0.87, 0.86, 0.80],  # another of a burst
            [0.96, 0.96, 0.96, 0.96, 0.96],  # five copies
            [0.84, 0.20, 0.20, 0.20, 0.20],  # another photo of the same thing
        ],
        dtype=np.float32,
    )
    assert is_near_copy(cosines, usual=0.6).tolist() == [True, False, True, False]
    # where all photos are alike, as digits are, nearer ones are needed
    assert is_near_copy(cosines, usual=0.2).tolist() == [False] * 4


def test_no_rounding_makes_a_cosine_larger_than_1() -> None:
    same = photos(200, seed=0)
    found = find_near_copies([split(same, "train")], split(same, "test"))
    assert len(found) == 200
    assert max(copy["cosine"] for copy in found) == 1.0


@pytest.mark.parametrize(("learnt", "copies"), [(1, [1]), (4, [1]), (5, [0, 1])])
def test_with_few_photos_only_what_is_nearly_equal_is_a_copy(learnt: int, copies: list[int]) -> None:
    """The second photo is resaved, the first one cropped, which five photos tell."""
    test = photos(2, seed=0)
    rows = np.concatenate([resaved(test[[1]]), resaved(test[[0]], noise=0.6), photos(3, seed=1)])
    found = find_near_copies([split(rows[:learnt], "train")], split(test, "test"))
    assert [copy["path"] for copy in found] == [f"test/{at}.jpg" for at in copies]


def test_the_accuracy_is_that_of_the_other_photos() -> None:
    found = [
        {"path": "a", "trained": "t", "cosine": 0.95},
        {"path": "b", "trained": "u", "cosine": 0.99},
        {"path": "unreadable", "trained": "v", "cosine": 0.99},
    ]
    right = {"a": True, "b": True, "c": True, "d": False, "e": True, "f": False}
    told = near_copies(found, right=right)  # type: ignore[arg-type]
    assert (told["images"], told["others"], told["accuracy_of_others"]) == (2, 4, 0.5)
    assert [copy["path"] for copy in told["examples"]] == ["b", "a"]
    interval = told["interval_of_others"]
    assert interval is not None
    assert interval["low"] == pytest.approx(0.15, abs=0.005)


def test_the_most_alike_are_the_examples() -> None:
    found = [{"path": f"{at}", "trained": "t", "cosine": at / 100} for at in range(25)]
    told = near_copies(found, right={f"{at}": True for at in range(25)})  # type: ignore[arg-type]
    assert [copy["path"] for copy in told["examples"]] == [f"{at}" for at in range(24, 4, -1)]


def test_where_every_test_photo_is_a_copy_there_is_no_accuracy() -> None:
    told = near_copies([{"path": "a", "trained": "t", "cosine": 0.95}], right={"a": True})
    assert (told["others"], told["accuracy_of_others"], told["interval_of_others"]) == (0, None, None)
