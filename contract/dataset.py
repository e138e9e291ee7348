"""The photos: their splits, and what CheckDataset says of them."""

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
"""Top folders of a data set that comes with its split, in lower case."""

PHOTO_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
"""File name endings that count as photos, in lower case."""


class ClassSummary(TypedDict):
    """A class, and how many photos it has in each split."""

    name: str
    train: int
    validation: int
    test: int


class DatasetSummary(TypedDict):
    """What CheckDataset found; the index of a class in `classes` is its label everywhere."""

    prefix: str
    """Key prefix the photos lie under, with its trailing slash."""
    classes: list[ClassSummary]
    images: int
    stray_files: int
    """Objects that are no photos in a class folder: counted, not fatal."""
    duplicates_across_splits: int
    """Photos whose bytes stand in two splits; the copies outside `test` are left out of the manifest."""
    split: Literal["given", "by content"]
    """Whether the folders gave the split (train, valid, test) or the content hash did."""
    fingerprint: str
    """SHA-256 over the manifest: changes whenever a photo, its label or its split does."""
    test_fingerprint: str
    """The same over the test split only: two runs are comparable when it is equal."""


class ImageRecord(TypedDict):
    """One photo of the manifest."""

    path: str
    """Key relative to the data set's prefix: the file's path below the `dataset` channel."""
    label: int
    split: SplitName
    etag: str
    """S3's ETag without quotes: the content's hash."""
