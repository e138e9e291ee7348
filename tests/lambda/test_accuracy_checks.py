"""The checks of the accuracy: what its test photos can tell, what they were, and what the answer is."""

from __future__ import annotations

from typing import Any

import pytest
from verdict.accuracy_checks import check_accuracy, check_class_recall, check_gap
from verdict.release_checks import check_leakage

from contract import AccuracyBy, GroupAccuracy, NearCopies, NearCopy, Thresholds

from .verdict_run import class_scores, evaluation, interval


def thresholds(*, floor: float = 0.7, by: AccuracyBy = "photo", recall: float = 0.2, copies: float = 0.1) -> Thresholds:
    return {
        "min_accuracy": floor,
        "accuracy_by": by,
        "min_class_recall": recall,
        "max_near_copies": copies,
        "tolerance": 0.01,
        "significance": 0.05,
        "blocking_rules": [],
    }


def measured(right: int, images: int, **more: Any) -> Any:
    return evaluation(test_accuracy=right / images, test_images=images, **more)


def copies_of(images: int, *, others: int, right: int) -> NearCopies:
    example: NearCopy = {"path": "test/cat/9.jpg", "trained": "train/cat/1.jpg", "cosine": 0.99}
    return {
        "images": images,
        "others": others,
        "accuracy_of_others": right / others if others else None,
        "interval_of_others": interval(right / others, others) if others else None,
        "examples": [example] * images,
    }


BY_GROUP: GroupAccuracy = {
    "source": "look-alikes",
    "groups": 218,
    "images": 690,
    "accuracy": 0.75,
    "interval": {"low": 0.72, "high": 0.79, "level": 0.95},
    "accuracy_by_photo": 0.958,
}


@pytest.mark.parametrize(
    ("right", "images", "outcome"),
    [
        (324, 372, "passed"),  # 0.87
        (90, 100, "passed"),
        (280, 400, "passed"),  # at the floor, but on enough photos
        (15, 18, "undecided"),  # 0.83: 0.61 to 0.94
        (12, 18, "blocked"),
        (6, 6, "undecided"),  # "100 % to 100 %"
        (9, 9, "passed"),
    ],
)
def test_too_few_photos_to_tell_are_neither_a_pass_nor_a_rejection(right: int, images: int, outcome: str) -> None:
    check = check_accuracy(measured(right, images), thresholds())
    assert check["outcome"] == outcome
    assert "with 95 % confidence, it is " in check["reason"]


def test_it_says_how_many_more_photos_would_tell_and_of_which_class() -> None:
    counts = {"cat": 9, "owl": 4, "fox": 30, "dog": 5}
    classes = [class_scores(name, images=images, recall=0.8) for name, images in counts.items()]
    check = check_accuracy(measured(15, 18, per_class=classes), thresholds())
    assert "About 28 more test photos would tell" in check["reason"]
    assert "about 187 more photos" in check["reason"]
    assert "the fewest: owl (4), dog (5), cat (9)." in check["reason"]
    # and so they would, with the same share of them right
    enough = interval(15 / 18, 18 + 28)
    assert enough["low"] == pytest.approx(0.7, abs=0.002)
    assert interval(15 / 18, 18 + 26)["low"] < 0.7


def test_an_accuracy_at_the_floor_is_not_told_by_any_number_of_photos() -> None:
    assert "improve the model" in check_accuracy(measured(70, 100), thresholds())["reason"]


def test_near_copies_do_not_count() -> None:
    found = measured(372, 372, near_copies=copies_of(153, others=219, right=140))
    check = check_accuracy(found, thresholds())
    assert check["outcome"] == "blocked"
    assert "0.6393 on 219 photos, near-copies of others not counted" in check["reason"]
    nothing_left = check_accuracy(measured(9, 9, near_copies=copies_of(9, others=0, right=0)), thresholds())
    assert nothing_left["outcome"] == "blocked"
    assert "Every test photo is a near-copy" in nothing_left["reason"]


def test_the_accuracy_by_group_counts_where_it_is_asked_for() -> None:
    found = measured(660, 690, by_group=BY_GROUP)
    by_photo = check_accuracy(found, thresholds(floor=0.8))
    assert by_photo["outcome"] == "passed"
    assert "With whole groups of photos held out it is 0.7500 (0.7200 to 0.7900)" in by_photo["reason"]
    by_group = check_accuracy(found, thresholds(floor=0.8, by="group"))
    assert by_group["outcome"] == "blocked"
    assert "accuracy by group 0.7500 on 690 photos in 218 look-alikes is below the floor 0.8000" in by_group["reason"]
    assert "it is 0.9580 with photos held out one by one, and 0.9565 on the 690 test photos" in by_group["reason"]
    none = check_accuracy(measured(660, 690), thresholds(floor=0.8, by="group"))
    assert none["outcome"] == "passed"
    assert "too few groups for an accuracy by group" in none["reason"]
    wide: GroupAccuracy = {**BY_GROUP, "interval": {"low": 0.6, "high": 0.9, "level": 0.95}}
    few = check_accuracy(measured(660, 690, by_group=wide), thresholds(by="group"))
    assert few["outcome"] == "undecided"
    assert "Photos of more groups would tell" in few["reason"]


@pytest.mark.parametrize(
    ("images", "recall", "floor", "outcome"),
    [
        (20, 0.9, 0.2, "passed"),
        (3, 1 / 3, 0.2, "warned"),
        (3, 0.0, 0.2, "blocked"),
        (1, 1.0, 0.2, "passed"),
        (3, 1.0, 0.5, "undecided"),
        (4, 1.0, 0.5, "passed"),
        (4, 0.0, 0.0, "passed"),
        (40, 1.0, 1.0, "warned"),
    ],
)
def test_a_class_of_few_photos_is_undecided_only_where_it_could_not_show_more(
    images: int, recall: float, floor: float, outcome: str
) -> None:
    classes = [class_scores("cat", images=40, recall=1.0), class_scores("owl", images=images, recall=recall)]
    check = check_class_recall(evaluation(per_class=classes), thresholds(recall=floor))
    assert check["outcome"] == outcome
    if outcome == "undecided":
        assert "a class needs 4 to show" in check["reason"]
        assert "owl (3)" in check["reason"]


@pytest.mark.parametrize(
    ("validation", "test", "outcome", "why"),
    [
        ((70, 71), (435, 602), "warned", "taken elsewhere than the others"),
        ((435, 602), (70, 71), "warned", "easier than the others"),
        ((9, 10), (7, 10), "passed", "no more apart than by chance"),
        ((117, 120), (328, 372), "warned", "by chance (p ="),
        ((88_600, 100_000), (86_000, 100_000), "passed", "no more apart"),  # significant, and of no matter
        ((89_600, 100_000), (86_000, 100_000), "warned", "by chance (p ="),
        ((335, 400), (305, 400), "warned", "by chance (p = 0.008)"),
        ((334, 400), (306, 400), "passed", "no more apart"),  # p = 0.013
        ((50, 50), (50, 50), "passed", "no more apart"),
    ],
)
def test_a_wide_gap_between_validation_and_test_is_remarked_on(
    validation: tuple[int, int], test: tuple[int, int], outcome: str, why: str
) -> None:
    found = measured(*test, validation_accuracy=validation[0] / validation[1], validation_images=validation[1])
    check = check_gap(found)
    assert check["outcome"] == outcome
    assert why in check["reason"]
    assert f"on {validation[1]} validation photos and {test[0] / test[1]:.4f} on {test[1]} test" in check["reason"]


@pytest.mark.parametrize(
    ("copies", "outcome", "words"),
    [
        (None, "passed", "Near-copies (resaved, resized, cropped) were not looked for"),
        (copies_of(0, others=100, right=90), "passed", "no test photo is a near-copy"),
        (copies_of(10, others=90, right=80), "warned", "judged on the 90 others"),
        (copies_of(153, others=219, right=200), "blocked", "153 of 372 test photos are near-copies"),
    ],
)
def test_near_copies_are_told_and_many_block(copies: NearCopies | None, outcome: str, words: str) -> None:
    check = check_leakage({"left_out": 3, "remaining": 0, "examples": []}, copies, thresholds())
    assert check["outcome"] == outcome
    assert words in check["reason"]
    if outcome in ("warned", "blocked"):
        assert "such as test/cat/9.jpg of train/cat/1.jpg" in check["reason"]
        assert "was also trained on" not in check["reason"]
