"""The splits train, validation and test, given by the folders or made from the photos' contents; and the manifest."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shared.first_few import first_few

from contract import SPLITS, ClassSummary, DatasetSummary, ImageRecord, LeftOut, SplitName, counted

from .listing import BadDataset, Listing, Photo
from .partition import SHARES, partition

__all__ = ["MAX_CLASSES", "Manifest", "make_manifest"]

MAX_CLASSES = 1000
"""Largest number of classes."""

_NAMED_FILES = 100
"""Files that the summary names, of each kind; the whole list is a file of its own."""

_STRICTEST_FIRST: tuple[SplitName, ...] = ("test", "validation", "train")


@dataclass(frozen=True)
class Manifest:
    """The data set's summary and its photos in the order of their paths."""

    summary: DatasetSummary
    records: list[ImageRecord]
    left_out: list[LeftOut] = field(default_factory=list)

    def left_out_table(self) -> str:
        """Return the content of `Artefact.LEFT_OUT`."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("path", "reason"))
        writer.writerows((file["path"], file["reason"]) for file in self.left_out)
        return table.getvalue()

    def lines(self) -> str:
        """Return the content of `Artefact.MANIFEST`: a JSON object a line."""
        return "".join(_line(record) for record in self.records)


def make_manifest(listing: Listing, *, prefix: str, min_images_per_class: int) -> Manifest:
    """Give every photo a split. The same photos give the same manifest, wherever they are and in whatever order.

    Splits that the folders do not give are taken from the training photos, of each class 15 % (`partition`). All copies
    of a photo go to one split. Where the folders put copies into two splits, only those in the stricter one are kept.

    Raises:
        BadDataset: there are too few or too many classes, or a class has too few different photos.
    """
    _check_classes(listing, min_images_per_class)

    # give each photo a split, and leave out copies in less strict splits
    classes = sorted({photo.label for photo in listing.photos})
    wanted = _wanted(listing, classes)
    splits = _splits(listing, wanted)
    if loosened := _loosened(listing, splits):
        listing = loosened
        splits = _splits(listing, wanted)
    kept, copies = _without_duplicates(listing.photos, splits)
    left_out = [*listing.left_out, *copies]

    # describe what is left
    labels = {name: index for index, name in enumerate(classes)}
    records = [
        _record(photo, label=labels[photo.label], split=splits[photo.path])
        for photo in sorted(kept, key=lambda photo: photo.path)
    ]
    in_two_classes = _in_two_classes(listing.photos)
    summary = DatasetSummary(
        prefix=prefix,
        classes=_count(classes, records),
        images=len(records),
        stray_files=len(listing.left_out),
        duplicates_across_splits=len(copies),
        left_out=[*listing.left_out[:_NAMED_FILES], *copies[:_NAMED_FILES]],
        in_two_classes=in_two_classes[:_NAMED_FILES],
        remarks=[
            *listing.remarks,
            *_cut_remarks(wanted, listing, classes),
            *_copy_remarks(in_two_classes),
            *_group_remarks(kept, splits),
        ],
        split="given" if listing.splits_given else "by content",
        fingerprint=_fingerprint(classes, records),
        test_fingerprint=_fingerprint(classes, (record for record in records if record["split"] == "test")),
    )
    _check_splits(summary["classes"], grouped=any(photo.group for photo in listing.photos))
    return Manifest(summary, records, left_out)


def _record(photo: Photo, *, label: int, split: SplitName) -> ImageRecord:
    record = ImageRecord(path=photo.path, label=label, split=split, etag=photo.etag)
    if photo.content:
        record["content"] = photo.content
    if photo.group:
        record["group"] = photo.group
    return record


def _check_classes(listing: Listing, min_images_per_class: int) -> None:
    counts: dict[str, int] = defaultdict(int)
    for photo in listing.photos:
        counts[photo.label] += 1

    if len(counts) < 2:
        raise BadDataset(
            f"there is only one class, {next(iter(counts))!r} with {counted(len(listing.photos), 'photo')}; a "
            f"classifier needs at least two: add a folder with photos of something else{_noted(listing)}"
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


def _noted(listing: Listing) -> str:
    """Return the remarks on the folders, for a message that they may explain."""
    return "".join(f". {remark.removesuffix('.')}" for remark in listing.remarks)


def _wanted(listing: Listing, classes: Sequence[str]) -> dict[SplitName, list[str]]:
    """Return the classes for which each split has to be taken from the training photos.

    A class that a given validation split lacks gets its own from train. A given test split stays as it is: what the
    model is measured on is for the person to say.

    Raises:
        BadDataset: the folders give splits, but none for training.
    """
    given: dict[SplitName | None, set[str]] = defaultdict(set)
    for photo in listing.photos:
        given[photo.split].add(photo.label)
    if listing.splits_given and "train" not in given:
        there = ", ".join(f"{split}/" for split in sorted(map(str, given)))
        raise BadDataset(
            f"there is no train/ folder with photos, only {there}; add one with photos of every class{_noted(listing)}"
        )

    wanted: dict[SplitName, list[str]] = {split: list(classes) for split in SHARES if split not in given}
    if lacking := [name for name in classes if name not in given["validation"]]:
        wanted["validation"] = lacking
    return wanted


def _splits(listing: Listing, wanted: dict[SplitName, list[str]]) -> dict[str, SplitName]:
    """Return the split of each path: that of its folder, or else one by its content."""
    splits: dict[str, SplitName] = {photo.path: photo.split for photo in listing.photos if photo.split}
    held_out = {photo.identity for photo in listing.photos if photo.split not in (None, "train")}
    free = [photo for photo in listing.photos if photo.split in (None, "train") and photo.identity not in held_out]
    return splits | partition(free, wanted)


def _loosened(listing: Listing, splits: dict[str, SplitName]) -> Listing | None:
    """Return the listing without the bursts of classes that a split would lack, or None where there are none.

    What a person says of groups holds; a burst that was only found must not refuse a data set.
    """
    there = {(photo.label, splits[photo.path]) for photo in listing.photos}
    torn = sorted(
        {
            photo.label
            for photo in listing.photos
            if photo.group_found and any((photo.label, split) not in there for split in SPLITS)
        }
    )
    if not torn:
        return None
    photos = [
        replace(photo, group=None, group_found=False) if photo.group_found and photo.label in torn else photo
        for photo in listing.photos
    ]
    remark = (
        f"The photos of {first_few([repr(name) for name in torn])} were taken in too few bursts to keep each in one "
        "split: they are split one by one, so that the test is easier than the truth. Add photos from other occasions."
    )
    return replace(listing, photos=photos, remarks=[*listing.remarks, remark])


def _without_duplicates(photos: Sequence[Photo], splits: dict[str, SplitName]) -> tuple[list[Photo], list[LeftOut]]:
    """Return the photos without the copies that are in a less strict split, and these copies."""
    strictest: dict[str, Photo] = {}
    for split in reversed(_STRICTEST_FIRST):
        strictest |= {photo.identity: photo for photo in photos if splits[photo.path] == split}
    kept, copies = [], []
    for photo in photos:
        stricter = strictest[photo.identity]
        if splits[photo.path] == splits[stricter.path]:
            kept.append(photo)
        else:
            reason = f"it is the same photo as {stricter.path} in the {splits[stricter.path]} split"
            copies.append(LeftOut(path=photo.path, reason=reason))
    return kept, copies


def _in_two_classes(photos: Sequence[Photo]) -> list[list[str]]:
    """Return the paths of each photo that lies in more than one class."""
    places: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        places[photo.identity].append(photo)
    return sorted(
        sorted(photo.path for photo in copies)
        for copies in places.values()
        if len({photo.label for photo in copies}) > 1
    )


def _cut_remarks(wanted: dict[SplitName, list[str]], listing: Listing, classes: Sequence[str]) -> Iterable[str]:
    cut = wanted.get("validation", [])
    if listing.splits_given and cut and len(cut) < len(classes):
        yield (
            f"The validation split has no photos of {first_few([repr(name) for name in cut])}: some of the training "
            "photos were taken for it."
        )


def _copy_remarks(in_two_classes: Sequence[list[str]]) -> Iterable[str]:
    if in_two_classes:
        examples = first_few([" = ".join(paths) for paths in in_two_classes])
        yield (
            f"{counted(len(in_two_classes), 'photo')} in more than one class, so that one of the labels is wrong; "
            f"keep each in the right class only: {examples}."
        )


def _group_remarks(photos: Sequence[Photo], splits: dict[str, SplitName]) -> Iterable[str]:
    """Name groups that the given folders put into several splits; those that we make never do."""
    found: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        if photo.group:
            found[photo.group].add(splits[photo.path])
    if torn := sorted(group for group, where in found.items() if len(where) > 1):
        yield (
            f"The folders put photos of one group into several splits, so that the test is easier than the truth: "
            f"{first_few([repr(group) for group in torn])}."
        )


def _count(classes: Sequence[str], records: Sequence[ImageRecord]) -> list[ClassSummary]:
    counts = [ClassSummary(name=name, train=0, validation=0, test=0) for name in classes]
    for record in records:
        counts[record["label"]][record["split"]] += 1
    return counts


def _check_splits(classes: Sequence[ClassSummary], *, grouped: bool) -> None:
    for split in SPLITS:
        empty = [repr(summary["name"]) for summary in classes if summary[split] == 0]
        if empty:
            groups = (
                "photos of one group stay in one split, so that a class needs three groups, and " if grouped else ""
            )
            raise BadDataset(
                f"no photo for the {split} split in {first_few(empty)} ({groups}copies of a photo count once); add "
                "different photos to these classes"
            )


def _fingerprint(classes: Sequence[str], records: Iterable[ImageRecord]) -> str:
    digest = hashlib.sha256(json.dumps(classes).encode())
    for record in records:
        # Groups count by the splits that they make: others, with the same splits, are the same data set.
        digest.update(_line({key: value for key, value in record.items() if key != "group"}).encode())
    return digest.hexdigest()


def _line(record: Mapping[str, object]) -> str:
    return json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"
