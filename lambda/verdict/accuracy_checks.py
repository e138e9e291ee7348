"""The checks of how often a model is right, with the interval that its test photos allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from shared.first_few import first_few

from contract import Check, ClassScores, Evaluation, Interval, Thresholds, counted

__all__ = ["check_accuracy", "check_class_recall", "check_gap", "worst_class"]

_WIDE: Final = 0.1
"""Width of an interval from which on there may be too few photos to tell: five points to either side, which takes up to
385 photos. A narrower one is close enough, and the accuracy itself decides."""

_NEAR: Final = 10_000
"""Photos above which it is no use to ask for more: the accuracy is too near the floor."""

_NAMED: Final = 3

_TEST_SHARE: Final = 0.15
"""Share of the photos that CheckDataset makes test photos."""

_GAP: Final = 0.03
"""Difference of the accuracies on validation and test photos below which nobody need mind."""

_CHANCE: Final = 0.01
"""Probability of a greater difference by chance, two-sided, below which a gap is remarked on."""


@dataclass(frozen=True)
class _Accuracy:
    """An accuracy, and what it was measured on."""

    value: float
    interval: Interval
    name: str
    images: int
    on: str


def check_accuracy(evaluation: Evaluation, thresholds: Thresholds) -> Check:
    """Check that the accuracy reaches the floor. One that is not a number does not.

    Near-copies of photos that the model learnt from do not count. If the interval holds the floor only because there
    are few photos, the answer is `undecided`.
    """
    floor = thresholds["min_accuracy"]
    measured, note = _measured(evaluation, thresholds)
    if measured is None:
        return Check(
            name="accuracy",
            outcome="blocked",
            reason="Every test photo is a near-copy of a photo that the model learnt from, so that nothing is known of "
            "its accuracy; add test photos that were taken apart from the others.",
        )

    # below the floor, too close to it for so few photos, or above
    range_ = _range(measured.interval)
    if not measured.value >= floor:
        return Check(
            name="accuracy",
            outcome="blocked",
            reason=f"The {measured.name} {measured.value:.4f} on {measured.on} is below the floor {floor:.4f} (setting "
            f"release.min_accuracy); {range_}.{note}",
        )
    if measured.interval["low"] < floor and measured.interval["high"] - measured.interval["low"] > _WIDE:
        return Check(
            name="accuracy",
            outcome="undecided",
            reason=f"Too few test photos to tell: the {measured.name} {measured.value:.4f} on {measured.on} reaches "
            f"the floor {floor:.4f} (setting release.min_accuracy), but {range_}. "
            f"{_more(measured, floor=floor, classes=evaluation['per_class'])}{note}",
        )
    return Check(
        name="accuracy",
        outcome="passed",
        reason=f"The {measured.name} {measured.value:.4f} on {measured.on} reaches the floor {floor:.4f}; "
        f"{range_}.{note}",
    )


def worst_class(evaluation: Evaluation) -> ClassScores:
    """Return the class with the lowest recall among those with test photos, the first of several."""
    return min((scores for scores in evaluation["per_class"] if scores["images"]), key=lambda scores: scores["recall"])


def check_class_recall(evaluation: Evaluation, thresholds: Thresholds) -> Check:
    """Check that the recall of every class reaches the floor.

    Of many classes with few photos, one is low by chance, so that a low end below the floor is only a warning. But a
    class whose photos, were all of them recognised, could not show that it reaches the floor is undecided.
    """
    worst, floor = worst_class(evaluation), thresholds["min_class_recall"]
    found = f"the recall {worst['recall']:.4f} of class {worst['name']} on {counted(worst['images'], 'photo')}"
    if worst["recall"] < floor:
        return Check(
            name="class_recall",
            outcome="blocked",
            reason=f"A class is hardly recognised: {found} is below the floor {floor:.4f} "
            f"(setting release.min_class_recall); {_range(worst['recall_interval'])}.",
        )

    # classes with too few photos to show anything
    square = _square(worst["recall_interval"])
    fewest = square * floor / (1 - floor) if floor < 1 else 0.0
    if few := [scores for scores in evaluation["per_class"] if 0 < scores["images"] < fewest]:
        named = first_few([f"{scores['name']} ({scores['images']})" for scores in few])
        return Check(
            name="class_recall",
            outcome="undecided",
            reason=f"Too few test photos to tell: even if all were recognised, a class needs {math.ceil(fewest)} to "
            f"show that its recall reaches the floor {floor:.4f} (setting release.min_class_recall). Add test photos "
            f"of {named}.",
        )

    if worst["recall_interval"]["low"] < floor:
        return Check(
            name="class_recall",
            outcome="warned",
            reason=f"No class is below the floor {floor:.4f}, but the lowest may be: {found}; "
            f"{_range(worst['recall_interval'])}. More test photos of {worst['name']} would tell.",
        )
    return Check(
        name="class_recall",
        outcome="passed",
        reason=f"No class is below the floor {floor:.4f}: the lowest is {found}; {_range(worst['recall_interval'])}.",
    )


def check_gap(evaluation: Evaluation) -> Check:
    """Remark on accuracies on validation and test photos that differ by more than chance (two-proportion z-test)."""
    validation, images = evaluation["validation_accuracy"], evaluation["validation_images"]
    test, tested = evaluation["test_accuracy"], evaluation["test_images"]
    both = f"The accuracy is {validation:.4f} on {images} validation photos and {test:.4f} on {tested} test photos"

    pooled = (validation * images + test * tested) / (images + tested)
    error = math.sqrt(pooled * (1 - pooled) * (1 / images + 1 / tested)) if 0 < pooled < 1 else 0.0
    chance = 2 * NormalDist().cdf(-abs(validation - test) / error) if error > 0 else 1.0
    if not (abs(validation - test) > _GAP and chance < _CHANCE):
        return Check(name="gap", outcome="passed", reason=f"{both}, no more apart than by chance.")
    why = (
        "Either the test photos were taken elsewhere than the others, or photos of one store, product or burst are "
        "both in training and validation. Expect the lower one, and say which photos belong together (groups.csv)."
        if validation > test
        else "Either the test photos are easier than the others, or some of them are nearly the same as training "
        "photos. Expect the lower one."
    )
    return Check(name="gap", outcome="warned", reason=f"{both}, which is not by chance (p = {chance:.2g}). {why}")


def _measured(evaluation: Evaluation, thresholds: Thresholds) -> tuple[_Accuracy | None, str]:
    """Return the accuracy that counts, None where nothing is known of it, and a note on which one it is."""
    group, copies = evaluation["by_group"], evaluation["near_copies"]
    if thresholds["accuracy_by"] == "group" and group is not None:
        return (
            _Accuracy(
                group["accuracy"],
                group["interval"],
                "accuracy by group",
                group["images"],
                f"{group['images']} photos in {group['groups']} {group['source']}",
            ),
            f" (Setting release.accuracy_by=group; it is {group['accuracy_by_photo']:.4f} with photos held out one by "
            f"one, and {evaluation['test_accuracy']:.4f} on the {evaluation['test_images']} test photos.)",
        )

    note = ""
    if thresholds["accuracy_by"] == "group":
        note = " There are too few groups for an accuracy by group (setting release.accuracy_by=group)."
    elif group is not None:
        low, high = group["interval"]["low"], group["interval"]["high"]
        note = (
            f" With whole groups of photos held out it is {group['accuracy']:.4f} ({low:.4f} to {high:.4f}); the "
            "setting release.accuracy_by=group judges by that."
        )
    if copies is None or not copies["images"]:
        images = evaluation["test_images"]
        accuracy, interval = evaluation["test_accuracy"], evaluation["test_accuracy_interval"]
        return _Accuracy(accuracy, interval, "test accuracy", images, counted(images, "photo")), note
    others, of_others = copies["accuracy_of_others"], copies["interval_of_others"]
    if others is None or of_others is None:
        return None, note
    on = f"{counted(copies['others'], 'photo')}, near-copies of others not counted"
    return _Accuracy(others, of_others, "test accuracy", copies["others"], on), note


def _range(interval: Interval) -> str:
    return f"with {interval['level'] * 100:g} % confidence, it is {interval['low']:.4f} to {interval['high']:.4f}"


def _square(interval: Interval) -> float:
    return NormalDist().inv_cdf((1 + interval["level"]) / 2) ** 2


def _more(measured: _Accuracy, *, floor: float, classes: Sequence[ClassScores]) -> str:
    """Say how many more photos would tell, if the accuracy stays as it is.

    Wilson's interval begins at the floor when the score test just rejects it:
    n = z² floor (1 - floor) / (value - floor)².
    """
    lead = measured.value - floor
    worth = _square(measured.interval) * floor * (1 - floor)
    if lead**2 * _NEAR <= worth:
        return "The accuracy is so near the floor that no reasonable number of photos would tell: improve the model."
    if measured.name != "test accuracy":
        return "Photos of more groups would tell: of other stores, products or days."
    more = max(1, math.ceil(worth / lead**2) - measured.images)
    fewest = sorted((scores for scores in classes if scores["images"]), key=lambda scores: scores["images"])
    named = ", ".join(f"{scores['name']} ({scores['images']})" for scores in fewest[:_NAMED])
    return (
        f"About {more:,} more test photos would tell, if the accuracy stays as it is (where the splits are made by "
        f"this project, that takes about {math.ceil(more / _TEST_SHARE):,} more photos); first of the classes with the "
        f"fewest: {named}."
    )
