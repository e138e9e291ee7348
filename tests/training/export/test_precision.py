from __future__ import annotations

import numpy as np
import pytest

import contract
from training.export.precision import Choice, choose

CLASSES = ["a", "b"]


def chosen(*, images: int, lost: int, won: int = 0, lost_of_b: int = 0) -> Choice:
    """Of float32, which gets `won` photos of each class's `images` wrong, and int8, which gets those right.

    int8 gets others wrong: `lost` of class a and `lost_of_b` of class b.
    """
    labels = np.repeat([0, 1], images)
    fp32, int8 = labels.copy(), labels.copy()
    for label in (0, 1):
        fp32[label * images : label * images + won] = 1 - label
    int8[images - lost : images] = 1
    int8[2 * images - lost_of_b :] = 0
    return choose(fp32=fp32, int8=int8, labels=labels, classes=CLASSES)


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (10, 10), (8, 2), (0, 5)])
def test_int8_is_served_when_it_loses_no_more_than_half_a_point(lost: int, won: int) -> None:
    choice = chosen(images=1000, lost=lost, lost_of_b=lost, won=won)
    assert choice.precision == "int8"
    assert f"validation accuracy {1 - lost / 1000:.4f} against {1 - won / 1000:.4f} in fp32" in choice.reason
    assert "on 2000 photos" in choice.reason


def test_fp32_is_served_when_int8_loses_more() -> None:
    """70 of 20,000 photos are 0.35 points, within the limit; 140 are 0.7, beyond it and a standard error."""
    assert chosen(images=10_000, lost=35, lost_of_b=35).precision == "int8"
    choice = chosen(images=10_000, lost=70, lost_of_b=70)
    assert choice.precision == "fp32"
    assert "validation accuracy 0.9930 against 1.0000 in fp32 on 20000 photos; up to 0.005 may be lost" in choice.reason


def test_photos_that_change_in_both_directions_make_the_difference_less_certain() -> None:
    """Four photos of 200 in net are lost in both, but where sixteen changed that may well be chance."""
    assert chosen(images=100, lost=2, lost_of_b=2).precision == "fp32"
    assert chosen(images=100, lost=5, lost_of_b=5, won=3).precision == "int8"


@pytest.mark.parametrize("images", [1, 2, 5, 20, 60, 99])
def test_one_photo_never_decides(images: int) -> None:
    """It is one of a hundred photos or more often, which is above the limit of half a point."""
    assert chosen(images=images, lost=1).precision == "int8"


def test_a_single_validation_photo_decides_nothing() -> None:
    (label,) = labels = np.array([0])
    choice = choose(fp32=labels, int8=1 - labels, labels=labels, classes=CLASSES)
    assert label == 0
    assert choice.precision == "int8"


def test_int8_that_gets_all_of_a_few_photos_wrong_is_not_served() -> None:
    assert chosen(images=3, lost=3, lost_of_b=3).precision == "fp32"


def test_fp32_is_served_when_one_class_suffers() -> None:
    """0.4 points of all, but eight of one class."""
    labels = np.repeat([0, 1], [1900, 100])
    assert classes_choice(labels, lost=4).precision == "int8"
    choice = classes_choice(labels, lost=8)
    assert choice.precision == "fp32"
    assert "int8 loses 0.0800 of the recall of class 'b' on 100 photos; up to 0.030 may be lost" in choice.reason


def classes_choice(labels: np.typing.NDArray[np.int64], *, lost: int) -> Choice:
    """Of an int8 model that takes `lost` photos of the last class for the first."""
    int8 = labels.copy()
    int8[len(labels) - lost :] = 0
    classes = [chr(ord("a") + label) for label in range(labels.max() + 1)]
    return choose(fp32=labels, int8=int8, labels=labels, classes=classes)


def test_the_worst_of_many_classes_has_a_wider_margin() -> None:
    """Three of twenty photos are much for one class of two, and what chance does to one class of fifty."""
    assert classes_choice(np.repeat([0, 1], [980, 20]), lost=3).precision == "fp32"
    assert classes_choice(np.repeat(np.arange(50), 20), lost=3).precision == "int8"


def test_a_class_without_validation_photos_is_no_hindrance() -> None:
    labels = np.zeros(10, dtype=np.int64)
    assert choose(fp32=labels, int8=labels, labels=labels, classes=CLASSES).precision == "int8"


def test_the_limits_are_the_contracts() -> None:
    assert (contract.INT8_ACCURACY_LOSS, contract.INT8_CLASS_LOSS) == (0.005, 0.03)
