from __future__ import annotations

import hashlib
import json
import random

import pytest
from check_dataset.listing import BadDataset, Listing, Photo
from check_dataset.splits import MAX_CLASSES, Manifest, make_manifest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import SPLITS, SplitName


def content(seed: object) -> str:
    return hashlib.md5(str(seed).encode(), usedforsecurity=False).hexdigest()


def photos(label: str, count: int, *, split: SplitName | None = None, start: int = 0) -> list[Photo]:
    folder = f"{split}/{label}" if split else label
    return [
        Photo(f"{folder}/{number}.jpg", label, split, content((label, number)))
        for number in range(start, start + count)
    ]


def manifest_of(*groups: list[Photo], minimum: int = 3) -> Manifest:
    listing = Listing([photo for group in groups for photo in group])
    return make_manifest(listing, prefix="dataset/", min_images_per_class=minimum)


def split_of(manifest: Manifest) -> dict[str, str]:
    return {record["path"]: record["split"] for record in manifest.records}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(3, 40), min_size=2), st.randoms(use_true_random=False))
def test_every_class_has_every_split_and_the_order_does_not_matter(sizes: dict[str, int], rng: random.Random) -> None:
    groups = [photos(label, count) for label, count in sizes.items()]
    manifest = manifest_of(*groups)
    for entry in manifest.summary["classes"]:
        assert min(entry["train"], entry["validation"], entry["test"]) >= 1
        assert entry["train"] + entry["validation"] + entry["test"] == sizes[entry["name"]]
    shuffled = [photo for group in groups for photo in group]
    rng.shuffle(shuffled)
    again = manifest_of(shuffled)
    assert again.lines() == manifest.lines()
    assert again.summary == manifest.summary


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 12)), min_size=40, max_size=80))
def test_no_content_is_in_two_splits(pairs: list[tuple[str, int]]) -> None:
    """Copies of a photo, in one class or in two, never straddle training and test."""
    some = [Photo(f"{label}/{number}.jpg", label, None, content(seed)) for number, (label, seed) in enumerate(pairs)]
    try:
        manifest = manifest_of(some)
    except BadDataset:
        return  # too few different photos in a class
    splits: dict[str, set[str]] = {}
    for record in manifest.records:
        splits.setdefault(record["etag"], set()).add(record["split"])
    assert all(len(found) == 1 for found in splits.values())


def test_shares_are_about_70_15_15() -> None:
    (entry, _) = manifest_of(photos("a", 4000), photos("b", 4000)).summary["classes"]
    assert 0.67 < entry["train"] / 4000 < 0.73
    assert 0.13 < entry["validation"] / 4000 < 0.17
    assert 0.13 < entry["test"] / 4000 < 0.17


def test_added_photos_move_no_other() -> None:
    before = split_of(manifest_of(photos("a", 100), photos("b", 100)))
    after = split_of(manifest_of(photos("a", 130), photos("b", 100)))
    assert {path: after[path] for path in before} == before


def test_given_splits_are_kept() -> None:
    manifest = manifest_of(
        *(
            photos(label, 5, split=split, start=start)
            for label in "ab"
            for split, start in zip(SPLITS, (0, 5, 10), strict=True)
        )
    )
    assert manifest.summary["split"] == "given"
    assert all(record["path"].startswith(f"{record['split']}/") for record in manifest.records)


@pytest.mark.parametrize(("missing", "given_split"), [("validation", "test"), ("test", "validation")])
def test_a_missing_split_is_taken_from_the_training_photos(missing: str, given_split: SplitName) -> None:
    manifest = manifest_of(
        *(photos(label, 40, split="train") + photos(label, 10, split=given_split, start=40) for label in "ab")
    )
    for entry in manifest.summary["classes"]:
        assert entry[given_split] == 10
        assert 1 <= entry[missing] <= 15  # type: ignore[literal-required]
        assert entry["train"] > 20


def test_copies_across_given_splits_are_left_out_of_the_less_strict_one() -> None:
    groups = [
        photos(label, 6, split=split, start=start)
        for label in "ab"
        for split, start in zip(SPLITS, (0, 6, 12), strict=True)
    ]
    leak = [
        Photo("train/a/leak.jpg", "a", "train", content(("a", 12))),
        Photo("validation/a/leak.jpg", "a", "validation", content(("a", 12))),
        Photo("train/b/leak.jpg", "b", "train", content(("b", 6))),
    ]
    manifest = manifest_of(*groups, leak)
    assert manifest.summary["duplicates_across_splits"] == 3
    assert not any("leak" in record["path"] for record in manifest.records)


def test_fingerprints_follow_the_photos_and_the_test_split() -> None:
    first = manifest_of(photos("a", 60), photos("b", 60))
    train_path = next(record["path"] for record in first.records if record["split"] == "train")
    changed = [photo for photo in photos("a", 60) + photos("b", 60) if photo.path != train_path]
    second = manifest_of(changed)
    assert first.summary["fingerprint"] != second.summary["fingerprint"]
    assert first.summary["test_fingerprint"] == second.summary["test_fingerprint"]


def test_the_manifest_is_one_json_a_line_in_key_order() -> None:
    manifest = manifest_of(photos("猫", 5), photos("b", 5))
    records = [json.loads(line) for line in manifest.lines().splitlines()]
    assert records == manifest.records
    assert [record["path"] for record in records] == sorted(record["path"] for record in records)
    assert [entry["name"] for entry in manifest.summary["classes"]] == ["b", "猫"]


def test_one_class_is_refused() -> None:
    with pytest.raises(BadDataset, match="only one class, 'a' with 9 photos"):
        manifest_of(photos("a", 9))


def test_small_classes_are_named_with_their_counts() -> None:
    with pytest.raises(BadDataset, match=r"'b' \(4\), 'c' \(1\); each class needs at least 5"):
        manifest_of(photos("a", 9), photos("b", 4), photos("c", 1), minimum=5)


def test_a_class_of_copies_is_refused() -> None:
    copies = [Photo(f"b/{number}.jpg", "b", None, "same") for number in range(9)]
    with pytest.raises(BadDataset, match="copies of a photo count once"):
        manifest_of(photos("a", 9), copies)


def test_too_many_classes_are_refused() -> None:
    with pytest.raises(BadDataset, match=f"at most {MAX_CLASSES}"):
        manifest_of(*(photos(f"class {number}", 3) for number in range(MAX_CLASSES + 1)))


def test_a_test_folder_alone_is_refused() -> None:
    with pytest.raises(BadDataset, match="no train/ folder"):
        manifest_of(photos("a", 5, split="test"), photos("b", 5, split="test"))


def test_a_class_missing_in_a_given_split_is_named() -> None:
    groups = [photos("a", 9, split="train"), photos("b", 9, split="train"), photos("a", 3, split="test", start=9)]
    with pytest.raises(BadDataset, match="no photo for the test split in 'b'"):
        manifest_of(*groups)
