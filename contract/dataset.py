"""The data set: splits, photo formats, and the manifest that CheckDataset writes."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

__all__ = [
    "PHOTO_SUFFIXES",
    "SPLITS",
    "SPLIT_FOLDERS",
    "ClassSummary",
    "DatasetSummary",
    "ImageRecord",
    "SplitName",
]

SplitName = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")

SPLIT_FOLDERS: Final[dict[str, SplitName]] = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}
"""Names, in lower case, of the top folders of a data set that comes with its splits."""

PHOTO_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
"""File name suffixes of photos, in lower case."""


class ClassSummary(TypedDict):
    """A class and the number of its photos in each split."""

    name: str
    train: int
    validation: int
    test: int


class DatasetSummary(TypedDict):
    """The content of `Artefact.DATASET_SUMMARY`. The index of a class in `classes` is its label everywhere."""

    prefix: str
    """Key prefix of the photos, with its trailing slash."""
    classes: list[ClassSummary]
    images: int
    stray_files: int
    """Objects that are not photos in a class folder. They are ignored."""
    duplicates_across_splits: int
    """Copies that were left out of the manifest because the same photo is in a stricter split (test before validation
    before train)."""
    split: Literal["given", "by content"]
    """Whether the folders (train, valid, test) or the hash of the content decided on the split."""
    fingerprint: str
    """SHA-256 of the manifest: it changes whenever a photo, a label or a split changes."""
    test_fingerprint: str
    """SHA-256 of the manifest's test split: two runs can be compared when theirs are equal."""


class ImageRecord(TypedDict):
    """One photo of the manifest."""

    path: str
    """Key below the data set's prefix, which is also the path below the `dataset` channel."""
    label: int
    split: SplitName
    etag: str
    """S3's ETag without its quotes: a hash of the content."""
