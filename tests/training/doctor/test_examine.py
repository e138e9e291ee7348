"""The whole examination: which photo of a group is named, what explains what, and what is said of the data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import contract
from tests.training.doctor.pictures import blurred, photo, read_back
from training.doctor.examine import Photos, examine
from training.doctor.pixels import measure

CLASSES = ["cat", "dog", "owl"]
LEVELS = [16, 64]


def features(truth: Sequence[int], *, seed: int = 1) -> NDArray[np.float32]:
    """Features of classes that can be told apart."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(0, 1, (len(CLASSES), sum(LEVELS)))
    rows: NDArray[np.float32] = (centres[list(truth)] + rng.normal(0, 0.4, (len(truth), sum(LEVELS)))).astype(
        np.float32
    )
    return rows


def examined(
    rows: NDArray[np.float32],
    labels: Sequence[int],
    *,
    splits: Sequence[contract.SplitName | None] | None = None,
    contents: Sequence[str] | None = None,
    pixels: NDArray[Any] | None = None,
) -> contract.DatasetCheck:
    names = [f"{CLASSES[label]}/{number:03}.jpg" for number, label in enumerate(labels)]
    return examine(
        Photos(
            paths=names,
            labels=np.array(labels, dtype=np.int64),
            splits=splits or [None] * len(labels),
            contents=contents or names,
            pixels=pixels,
        ),
        read=lambda at: rows[at],
        levels=LEVELS,
        classes=CLASSES,
        image_size=224,
    )


TRUTH = [number % 3 for number in range(90)]


def test_a_healthy_data_set_has_no_findings() -> None:
    check = examined(features(TRUTH), TRUTH)
    assert check == {"classes": CLASSES, "photos": 90, "findings": [], "remarks": []}


def test_a_wrong_label_is_named_with_its_place_its_class_and_a_photo_like_it() -> None:
    labels = list(TRUTH)
    labels[4] = 2  # truly 1
    (finding,) = examined(features(TRUTH), labels)["findings"]
    assert (finding["kind"], finding["path"], finding["label"]) == ("label", "owl/004.jpg", 2)
    assert finding["suggested"] == 1
    assert finding["other"] is not None
    assert finding["other"].startswith("dog/")
    assert finding["reason"].startswith("looks like dog (")


def test_of_copies_the_one_in_the_strictest_split_stays_and_the_others_are_named() -> None:
    rows = features(TRUTH)
    rows[[3, 6, 9]] = rows[3]
    splits: list[contract.SplitName | None] = ["train"] * 90
    splits[6] = "test"
    contents = [str(number) for number in range(90)]
    contents[9] = contents[6]
    findings = examined(rows, TRUTH, splits=splits, contents=contents)["findings"]
    assert [(finding["path"], finding["other"], finding["group"]) for finding in findings] == [
        ("cat/009.jpg", "cat/006.jpg", 0),
        ("cat/003.jpg", "cat/006.jpg", 0),
    ]
    assert findings[0]["reason"] == "the same file as cat/006.jpg, which is for test"
    assert findings[1]["reason"] == "the same picture as cat/006.jpg, which is for test"


def test_copies_in_two_classes_are_both_named_since_one_of_the_labels_is_wrong() -> None:
    rows, contents = features(TRUTH), [str(number) for number in range(90)]
    rows[10], contents[10] = rows[3], contents[3]
    findings = [f for f in examined(rows, TRUTH, contents=contents)["findings"] if f["kind"] == "copy"]
    assert {finding["path"] for finding in findings} == {"cat/003.jpg", "dog/010.jpg"}
    assert findings[0]["reason"].endswith("which is in the class dog")


def test_a_photo_that_is_damaged_is_not_suspected_of_a_wrong_label_as_well() -> None:
    labels = list(TRUTH)
    labels[4] = 2
    images = [photo(seed) for seed in range(90)]
    images[4] = blurred(images[4])
    pixels = np.stack([measure(image, size=image.size) for image in images])
    (finding,) = examined(features(TRUTH), labels, pixels=pixels)["findings"]
    assert (finding["kind"], finding["path"]) == ("blurred", "owl/004.jpg")


def test_the_larger_of_two_copies_stays() -> None:
    rows = features(TRUTH)
    rows[3] = rows[6]
    images = [photo(seed) for seed in range(90)]
    images[3] = read_back(images[6], quality=60).resize((160, 120))
    pixels = np.stack([measure(image, size=image.size) for image in images])
    (finding,) = examined(rows, TRUTH, pixels=pixels)["findings"]
    assert (finding["path"], finding["other"]) == ("cat/003.jpg", "cat/006.jpg")


def test_small_classes_and_small_photos_are_remarked_on() -> None:
    truth = [0] * 60 + [1] * 60 + [2] * 3
    images = [photo(seed, width=64, height=48) for seed in range(123)]
    pixels = np.stack([measure(image, size=image.size) for image in images])
    remarks = examined(features(truth), truth, pixels=pixels)["remarks"]
    assert remarks[0].startswith("The classes are out of balance: cat has 60 photos")
    assert "owl (3)" in remarks[0]
    assert remarks[1].startswith("Labels were not judged in classes of fewer than 4 photos: owl")
    assert "no more than 48 pixels, and the network sees 224" in remarks[2]


def test_one_photo_and_none_have_nothing_to_be_compared_with() -> None:
    assert examined(features([0]), [0])["findings"] == []
    assert examined(features([]), [])["photos"] == 0
