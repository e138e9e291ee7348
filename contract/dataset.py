"""The data set: splits, photo formats, and the manifest that CheckDataset writes."""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict

__all__ = [
    "FOUND_GROUPS_FILE",
    "GROUPS_FILE",
    "PHOTO_SUFFIXES",
    "READY_FILE",
    "SPLITS",
    "SPLIT_FOLDERS",
    "ClassSummary",
    "DatasetSummary",
    "FolderError",
    "ImageRecord",
    "LeftOut",
    "SplitName",
    "content_of",
]

SplitName = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")

SPLIT_FOLDERS: Final[dict[str, SplitName]] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""Names, in lower case, of the top folders of a data set that comes with its splits."""

PHOTO_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
)
"""File name suffixes of photos, in lower case."""

GROUPS_FILE: Final = "groups.csv"
"""Name of the file, at the top of a data set, that says which photos belong together: columns `path` and `group`."""

READY_FILE: Final = "READY"
"""Name of the object, at the top of a data set, whose upload says that all photos are there
(`triggers.ready_object`)."""

FOUND_GROUPS_FILE: Final = ".whippet-groups.csv"
"""Name of the file of the same form in which `whippet upload` says which photos it found to belong together; it counts
after `GROUPS_FILE` and after a pattern."""


class FolderError(ValueError):
    """The folders of a data set cannot be understood; the message says why and what to do."""


class LeftOut(TypedDict):
    """A file that is not trained on."""

    path: str
    reason: str
    """A clause that begins with `it`, or names the format and what to do."""


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
    left_out: list[LeftOut]
    """The first of the stray files and of these copies; `Artefact.LEFT_OUT` has all of them."""
    in_two_classes: list[list[str]]
    """Paths of the first photos that lie in more than one class, a list a photo."""
    remarks: list[str]
    """Sentences about what a person should know of the data set."""
    split: Literal["given", "by content"]
    """Whether the folders (train, valid, test) or the hash of the content decided on the split."""
    fingerprint: str
    """SHA-256 of the manifest: it changes whenever a photo, a label or a split changes."""
    test_fingerprint: str
    """SHA-256 of the manifest's test split: two runs can be compared when theirs are equal."""
    retry_of: NotRequired[str]
    """The earlier run whose work this run goes on with."""


class ImageRecord(TypedDict):
    """One photo of the manifest."""

    path: str
    """Key below the data set's prefix, which is also the path below the `dataset` channel."""
    label: int
    split: SplitName
    etag: str
    """S3's ETag without its quotes: another one whenever the object was uploaded again with other content."""
    content: NotRequired[str]
    """SHA-256 of the content, where the ETag is not known to be the content's hash (`content_of`)."""
    group: NotRequired[str]
    """Photos of one group belong together, as those of one store or burst; not there where the photo is in none."""


def content_of(record: ImageRecord) -> str:
    """Return what is the same for all photos of the same content."""
    return record.get("content", record["etag"])
