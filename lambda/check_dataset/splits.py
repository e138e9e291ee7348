"""The splits train, validation and test: given by the folders, or made from the hash of each photo's content."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.first_few import first_few

from contract import SPLITS, ClassSummary, DatasetSummary, ImageRecord, SplitName

from .listing import BadDataset, Listing, Photo

__all__ = ["MAX_CLASSES", "Manifest", "make_manifest"]

MAX_CLASSES = 1000
"""Largest number of classes."""

_TEST_SHARE = 0.15
_VALIDATION_SHARE = 0.15
_STRICTEST_FIRST: tuple[SplitName, ...] = ("test", "validation", "train")


@dataclass(frozen=True)
class Manifest:
    """The data set's summary and its photos in the order of their paths."""

    summary: DatasetSummary
    records: list[ImageRecord]

    def lines(self) -> str:
        """Return the content of `Artefact.MANIFEST`: a JSON object a line."""
        return "".join(_line(record) for record in self.records)


def make_manifest(listing: Listing, *, prefix: str, min_images_per_class: int) -> Manifest:
    """Give every photo a split. The same photos give the same manifest, wherever they are and in whatever order.

    The split follows from the hash of a photo's content, so that adding photos moves almost no other. All copies of a
    photo go to one split. Where the folders put copies into two splits, only those in the stricter one are kept.

    Raises:
        BadDataset: there are too few or too many classes, or a class has too few different photos.
    """
    _check_classes(listing.photos, min_images_per_class)

    # give each photo a split, and leave out copies in less strict splits
    classes = sorted({photo.label for photo in listing.photos})
    splits = _splits(listing)
    kept, left_out = _without_duplicates(listing.photos, splits)

    # describe what is left
    labels = {name: index for index, name in enumerate(classes)}
    records = [
        ImageRecord(path=photo.path, label=labels[photo.label], split=splits[photo.path], etag=photo.etag)
        for photo in sorted(kept, key=lambda photo: photo.path)
    ]
    summary = DatasetSummary(
        prefix=prefix,
        classes=_count(classes, records),
        images=len(records),
        stray_files=listing.stray_files,
        duplicates_across_splits=left_out,
        split="given" if listing.splits_given else "by content",
        fingerprint=_fingerprint(classes, records),
        test_fingerprint=_fingerprint(classes, (record for record in records if record["split"] == "test")),
    )
    _check_splits(summary["classes"])
    return Manifest(summary, records)


def _check_classes(photos: Sequence[Photo], min_images_per_class: int) -> None:
    counts: dict[str, int] = defaultdict(int)
    for photo in photos:
        counts[photo.label] += 1

    if len(counts) < 2:
        raise BadDataset(
            f"there is only one class, {next(iter(counts))!r} with {len(photos)} photos; a classifier needs at "
            "least two: add a folder with photos of something else"
        )
    if len(counts) > MAX_CLASSES:
        raise BadDataset(
            f"there are {len(counts)} classes, but at most {MAX_CLASSES} are supported; put the photos of a class into "
            "one folder directly below the prefix (or below train/, valid/ and test/)"
        )

    small = [(name, count) for name, count in sorted(counts.items()) if count < min_images_per_class]
    if small:
        raise BadDataset(
            f"too few photos in {first_few([f'{name!r} ({count})' for name, count in small])}; each class needs at "
            f"least {min_images_per_class} (setting dataset.min_images_per_class): add photos or remove the folder"
        )


def _splits(listing: Listing) -> dict[str, SplitName]:
    """Return the split of each path."""
    by_class: dict[str, list[Photo]] = defaultdict(list)
    for photo in listing.photos:
        by_class[photo.label].append(photo)
    missing = _missing_splits(listing)
    splits: dict[str, SplitName] = {}
    for photos in by_class.values():
        # Splits that the folders give stay; the missing ones are taken from the training photos.
        fixed = [photo for photo in photos if photo.split not in (None, "train")]
        splits |= {photo.path: photo.split for photo in fixed if photo.split}
        splits |= _by_content([photo for photo in photos if photo.split in (None, "train")], missing)
    return splits


def _missing_splits(listing: Listing) -> tuple[SplitName, ...]:
    """Return the splits that have to be taken from the training photos.

    Raises:
        BadDataset: the folders give splits, but none for training.
    """
    given = {photo.split for photo in listing.photos}
    if listing.splits_given and "train" not in given:
        there = ", ".join(f"{split}/" for split in sorted(map(str, given)))
        raise BadDataset(f"there is no train/ folder with photos, only {there}; add one with photos of every class")
    return tuple(split for split in ("test", "validation") if split not in given)


def _by_content(photos: Sequence[Photo], missing: tuple[SplitName, ...]) -> dict[str, SplitName]:
    """Split the photos of one class by the hash of their content; each split gets one, if there are enough."""
    shares = {"test": _TEST_SHARE, "validation": _VALIDATION_SHARE}
    # The photos of a given split are not among these, so that the missing ones take a greater share of them.
    whole = 1.0 - sum(share for name, share in shares.items() if name not in missing)

    # give every different photo the split in whose part of [0, 1) its hash is
    contents = sorted({photo.etag for photo in photos}, key=_place)
    chosen: dict[str, SplitName] = {}
    for etag in contents:
        place, chosen[etag] = _place(etag)[0], "train"
        for split in missing:
            place -= shares[split] / whole
            if place < 0:
                chosen[etag] = split
                break

    # fill a split that chance left empty
    for split in missing:
        if split not in chosen.values():
            spare = [etag for etag in contents if chosen[etag] == "train"]
            if len(spare) > 1:
                chosen[spare[0]] = split

    # keep at least one photo for training
    if photos and "train" not in chosen.values() and len(contents) > len(missing):
        fullest = max(missing, key=lambda split: sum(value == split for value in chosen.values()))
        chosen[next(etag for etag in reversed(contents) if chosen[etag] == fullest)] = "train"
    return {photo.path: chosen[photo.etag] for photo in photos}


def _place(etag: str) -> tuple[float, str]:
    """Return a number from 0 to 1 for a photo, evenly spread, since an ETag may have any form; and the ETag."""
    return int.from_bytes(hashlib.sha256(etag.encode()).digest()[:8]) / 2**64, etag


def _without_duplicates(photos: Sequence[Photo], splits: dict[str, SplitName]) -> tuple[list[Photo], int]:
    """Leave out the copies of a photo that are in a less strict split, and count them."""
    strictest: dict[str, SplitName] = {}
    for split in reversed(_STRICTEST_FIRST):
        strictest |= {photo.etag: split for photo in photos if splits[photo.path] == split}
    kept = [photo for photo in photos if splits[photo.path] == strictest[photo.etag]]
    return kept, len(photos) - len(kept)


def _count(classes: Sequence[str], records: Sequence[ImageRecord]) -> list[ClassSummary]:
    counts = [ClassSummary(name=name, train=0, validation=0, test=0) for name in classes]
    for record in records:
        counts[record["label"]][record["split"]] += 1
    return counts


def _check_splits(classes: Sequence[ClassSummary]) -> None:
    for split in SPLITS:
        empty = [repr(summary["name"]) for summary in classes if summary[split] == 0]
        if empty:
            raise BadDataset(
                f"no photo for the {split} split in {first_few(empty)} (copies of a photo count once); add different "
                "photos to these classes"
            )


def _fingerprint(classes: Sequence[str], records: Iterable[ImageRecord]) -> str:
    digest = hashlib.sha256(json.dumps(classes).encode())
    for record in records:
        digest.update(_line(record).encode())
    return digest.hexdigest()


def _line(record: ImageRecord) -> str:
    return json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"
