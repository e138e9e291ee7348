"""Training, validation and test: by the folders where they say, else by the photos' content."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contract import SPLITS, ClassSummary, DatasetSummary, ImageRecord, SplitName

from .listing import BadDataset, Listing, Photo

__all__ = ["MAX_CLASSES", "Manifest", "make_manifest"]

MAX_CLASSES = 1000
_TEST_SHARE = 0.15
_VALIDATION_SHARE = 0.15
_NAMED = 5
_STRICTEST_FIRST: tuple[SplitName, ...] = ("test", "validation", "train")


@dataclass(frozen=True)
class Manifest:
    """The data set's summary and its photos in the order of their paths."""

    summary: DatasetSummary
    records: list[ImageRecord]

    def lines(self) -> str:
        """`manifest.jsonl`."""
        return "".join(_line(record) for record in self.records)


def make_manifest(listing: Listing, *, prefix: str, min_images_per_class: int) -> Manifest:
    """Give every photo a split; the same photos give the same manifest, wherever they lie and in whatever order.

    A photo's split follows from its content's hash, so adding photos moves (almost) no other. Copies of a photo go
    to one split; where the folders put them into two, the copy in the less strict one is left out.

    Raises:
        BadDataset: too few or too many classes, or a class without enough different photos.
    """
    _check_classes(listing.photos, min_images_per_class)
    classes = sorted({photo.label for photo in listing.photos})
    splits = _splits(listing)
    kept, left_out = _without_duplicates(listing.photos, splits)
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
            f"there are {len(counts)} classes, but at most {MAX_CLASSES} are supported; is that the right folder level?"
        )
    small = [(name, count) for name, count in sorted(counts.items()) if count < min_images_per_class]
    if small:
        raise BadDataset(
            f"too few photos in {_some([f'{name!r} ({count})' for name, count in small])}; each class needs at least "
            f"{min_images_per_class} (setting dataset.min_images_per_class): add photos or remove the folder"
        )


def _splits(listing: Listing) -> dict[str, SplitName]:
    """Split of each path."""
    by_class: dict[str, list[Photo]] = defaultdict(list)
    for photo in listing.photos:
        by_class[photo.label].append(photo)
    missing = _missing_splits(listing)
    splits: dict[str, SplitName] = {}
    for photos in by_class.values():
        fixed = [photo for photo in photos if photo.split not in (None, "train")]
        splits |= {photo.path: photo.split for photo in fixed if photo.split}
        splits |= _by_content([photo for photo in photos if photo.split in (None, "train")], missing)
    return splits


def _missing_splits(listing: Listing) -> tuple[SplitName, ...]:
    """Which splits must be taken out of the training photos."""
    given = {photo.split for photo in listing.photos}
    if listing.splits_given and "train" not in given:
        raise BadDataset(f"there is no train/ folder with photos, only {', '.join(sorted(map(str, given)))}/; add one")
    return tuple(split for split in ("test", "validation") if split not in given)


def _by_content(photos: Sequence[Photo], missing: tuple[SplitName, ...]) -> dict[str, SplitName]:
    """Split one class's photos by their content's hash, with at least one photo in each split if there are enough."""
    shares = {"test": _TEST_SHARE, "validation": _VALIDATION_SHARE}
    # A split that was given is not taken from these photos, so the others take their share of the whole from less.
    whole = 1.0 - sum(share for name, share in shares.items() if name not in missing)
    contents = sorted({photo.etag for photo in photos}, key=_place)
    chosen: dict[str, SplitName] = {}
    for etag in contents:
        place, chosen[etag] = _place(etag)[0], "train"
        for split in missing:
            place -= shares[split] / whole
            if place < 0:
                chosen[etag] = split
                break
    for split in missing:
        if split not in chosen.values():
            spare = [etag for etag in contents if chosen[etag] == "train"]
            if len(spare) > 1:
                chosen[spare[0]] = split
    if photos and "train" not in chosen.values() and len(contents) > len(missing):
        fullest = max(missing, key=lambda split: sum(value == split for value in chosen.values()))
        chosen[next(etag for etag in reversed(contents) if chosen[etag] == fullest)] = "train"
    return {photo.path: chosen[photo.etag] for photo in photos}


def _place(etag: str) -> tuple[float, str]:
    """Where a content stands between 0 and 1, evenly spread; hashed, for an ETag may be of any form."""
    return int.from_bytes(hashlib.sha256(etag.encode()).digest()[:8]) / 2**64, etag


def _without_duplicates(photos: Sequence[Photo], splits: dict[str, SplitName]) -> tuple[list[Photo], int]:
    """Leave out the copies of a photo that stand in a less strict split, and count them."""
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
                f"no photo for the {split} split in {_some(empty)} (copies of a photo count once); add different "
                "photos to these classes"
            )


def _fingerprint(classes: Sequence[str], records: Iterable[ImageRecord]) -> str:
    digest = hashlib.sha256(json.dumps(classes).encode())
    for record in records:
        digest.update(_line(record).encode())
    return digest.hexdigest()


def _line(record: ImageRecord) -> str:
    return json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
