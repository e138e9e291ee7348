"""The photos of a data set, from the listing of the bucket."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from shared.first_few import first_few

from contract import PHOTO_SUFFIXES, SPLIT_FOLDERS, Machines, SplitName

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["BadDataset", "Listing", "Photo", "check_disk", "list_photos", "parse_listing"]

_MAX_LABEL = 256
"""Longest name of a class, in characters."""

_SHARE_OF_DISK = 0.9
"""Share of a job's disk that photos may fill; the file system, the features and the model take the rest."""

_UNREADABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories of characters that show nothing, or change how others are shown, such as U+202E and U+200B."""


class BadDataset(ValueError):
    """The photos cannot be trained on as they are; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo in a class folder. `split` is None where the folders do not give the split."""

    path: str
    label: str
    split: SplitName | None
    etag: str


@dataclass
class Listing:
    """The photos under the prefix, the number of other files there, and the size of both."""

    photos: list[Photo] = field(default_factory=list)
    stray_files: int = 0
    size: int = 0
    """Bytes of all files below the prefix, which a job copies to its disk, photos or not."""

    @property
    def splits_given(self) -> bool:
        """Whether the folders give the splits."""
        return bool(self.photos) and self.photos[0].split is not None


def list_photos(s3: S3Client, *, bucket: str, prefix: str) -> Listing:
    """List the photos of a data set. 100,000 photos take 100 calls and about 50 MB of memory.

    Raises:
        BadDataset: there are no photos, two layouts are mixed, or the name of a class cannot be a label.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    objects = (
        (item["Key"], item["Size"], item["ETag"].strip('"')) for page in pages for item in page.get("Contents", [])
    )
    listing = parse_listing(((key.removeprefix(prefix), size, etag) for key, size, etag in objects))
    if not listing.photos:
        others = f" ({listing.stray_files} other files are there)" if listing.stray_files else ""
        raise BadDataset(
            f"there are no photos in class folders under s3://{bucket}/{prefix}{others}; upload them as "
            f"s3://{bucket}/{prefix}<class>/<photo>, or as s3://{bucket}/{prefix}train|valid|test/<class>/<photo> if "
            f"they come with splits; the names of photos end in {', '.join(sorted(PHOTO_SUFFIXES))}"
        )
    return listing


def parse_listing(objects: Iterable[tuple[str, int, str]]) -> Listing:
    """Find the photos among objects of (path below the prefix, size in bytes, ETag), and count the other files.

    Raises:
        BadDataset: two layouts are mixed, or the name of a class cannot be a label.
    """
    listing = Listing()

    # separate the photos from other files
    found: list[tuple[str, str]] = []
    tops: dict[str, None] = {}
    for path, size, etag in objects:
        listing.size += size
        if path.endswith("/"):
            continue  # an empty object that stands for a folder, as the S3 console makes it
        if not _is_photo(path, size):
            listing.stray_files += 1
            continue
        found.append((path, etag))
        tops.setdefault(path.split("/", 1)[0])

    # decide on the layout: split folders or class folders at the top
    given = [top for top in tops if top.lower() in SPLIT_FOLDERS]
    if given and len(given) != len(tops):
        others = [top for top in tops if top not in given]
        raise BadDataset(
            f"split folders ({', '.join(given)}) stand beside class folders ({first_few(others)}); put every class "
            "below train/, valid/ and test/, or every class directly below the prefix"
        )

    # read class and split from the folders
    for path, etag in found:
        photo = _photo(path, etag, given=bool(given))
        if photo is None:
            listing.stray_files += 1
        else:
            listing.photos.append(photo)

    _check_labels({photo.label for photo in listing.photos})
    return listing


def check_disk(listing: Listing, machines: Machines) -> None:
    """Check that a job can copy the data set to its disk.

    Raises:
        BadDataset: the files are larger than the disk, less a share for the file system and the job's own files.
    """
    disk = machines["disk_bytes"]
    if disk is not None and listing.size > disk * _SHARE_OF_DISK:
        raise BadDataset(
            f"the data set has {listing.size / 1e9:.1f} GB, and each job copies it to a disk of {machines['disk']}, or "
            "set dataset.input_mode=FastFile, with which the photos are streamed and need no disk; a tenth of the disk "
            "is left for the job's own files"
        )


def _is_photo(path: str, size: int) -> bool:
    """Return whether this is a photo: in a folder, not empty, and none of the system files such as .DS_Store."""
    parts = path.split("/")
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return len(parts) > 1 and not hidden and size > 0 and PurePosixPath(path).suffix.lower() in PHOTO_SUFFIXES


def _photo(path: str, etag: str, *, given: bool) -> Photo | None:
    if not given:
        return Photo(path, path.split("/", 1)[0], None, etag)
    top, label, rest = path.split("/", 2) if path.count("/") >= 2 else ("", "", "")
    return Photo(path, label, SPLIT_FOLDERS[top.lower()], etag) if rest else None


def _check_labels(labels: set[str]) -> None:
    invalid = [label for label in sorted(labels) if _is_invalid_label(label)]
    if invalid:
        raise BadDataset(
            f"class folders with names that cannot be labels: {first_few([_as_code(label) for label in invalid])}; "
            f"rename them to readable text of at most {_MAX_LABEL} characters, without control or invisible characters "
            "and without spaces at the ends"
        )


def _is_invalid_label(label: str) -> bool:
    return not label or len(label) > _MAX_LABEL or label != label.strip() or any(map(_is_unreadable, label))


def _is_unreadable(character: str) -> bool:
    return unicodedata.category(character) in _UNREADABLE or character == "\ufffd"


def _as_code(label: str) -> str:
    """Write a label in ASCII, with the code points that nobody can see in it."""
    unreadable = sorted({f"U+{ord(character):04X}" for character in label if _is_unreadable(character)})
    return f"{label!a} ({', '.join(unreadable)})" if unreadable else ascii(label)
