"""The photos of a data set, from the listing of the bucket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.first_few import first_few

from contract import PHOTO_SUFFIXES, FolderError, LeftOut, Machines, SplitName, read_folders

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["BadDataset", "Listing", "Photo", "check_disk", "list_photos", "parse_listing"]

_SHARE_OF_DISK = 0.9
"""Share of a job's disk that photos may fill; the file system, the features and the model take the rest."""

_REASONS_NAMED = 3


class BadDataset(ValueError):
    """The photos cannot be trained on as they are; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo in a class folder. `split` is None where the folders do not give the split."""

    path: str
    label: str
    split: SplitName | None
    etag: str
    size: int
    """Bytes."""
    content: str | None = None
    """SHA-256 of the content, where the ETag does not tell it."""
    group: str | None = None
    """Photos of one group stay in one split."""
    group_found: bool = False
    """Whether the group was found by `whippet upload`, and not said by a person."""

    @property
    def identity(self) -> str:
        """What tells photos of different content apart."""
        return self.content or self.etag


@dataclass
class Listing:
    """The photos under the prefix, the other files there, and the size of both."""

    photos: list[Photo] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What a person should know about how the folders were understood."""
    size: int = 0
    """Bytes of all files below the prefix, which a job copies to its disk, photos or not."""
    splits_given: bool = False
    """Whether the folders give the splits."""
    has_groups: bool = False
    """Whether `GROUPS_FILE` is there."""
    has_found_groups: bool = False
    """Whether `FOUND_GROUPS_FILE` is there."""


def list_photos(s3: S3Client, *, bucket: str, prefix: str) -> Listing:
    """List the photos of a data set. 100,000 photos take 100 calls and about 50 MB of memory.

    Raises:
        BadDataset: there are no photos, or class and split cannot be told from their folders.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    objects = (
        (item["Key"], item["Size"], item["ETag"].strip('"')) for page in pages for item in page.get("Contents", [])
    )
    place = f"s3://{bucket}/{prefix}"
    listing = parse_listing(((key.removeprefix(prefix), size, etag) for key, size, etag in objects), place=place)
    if not listing.photos:
        raise BadDataset(
            f"there are no photos in class folders under {place}{_others(listing.left_out)}; upload them as "
            f"{place}<class>/<photo>, or as {place}train|valid|test/<class>/<photo> if they come with splits; the "
            f"names of photos end in {', '.join(sorted(PHOTO_SUFFIXES))}"
        )
    return listing


def parse_listing(objects: Iterable[tuple[str, int, str]], *, place: str) -> Listing:
    """Find the photos among objects of (path below the prefix, size in bytes, ETag).

    Raises:
        BadDataset: class and split cannot be told from the folders.
    """
    stored = {path: (size, etag) for path, size, etag in objects}
    try:
        folders = read_folders(((path, size) for path, (size, _) in stored.items()), place=place)
    except FolderError as error:
        raise BadDataset(str(error)) from None
    return Listing(
        photos=[
            Photo(photo.path, photo.label, photo.split, etag=stored[photo.path][1], size=stored[photo.path][0])
            for photo in folders.photos
        ],
        left_out=folders.left_out,
        remarks=folders.remarks,
        size=sum(size for size, _ in stored.values()),
        splits_given=folders.splits_given,
        has_groups=folders.has_groups,
        has_found_groups=folders.has_found_groups,
    )


def _others(left_out: list[LeftOut]) -> str:
    """Name the files that are there instead of photos."""
    if not left_out:
        return ""
    named = first_few([f"{file['path']} ({file['reason']})" for file in left_out[:_REASONS_NAMED]])
    return f" ({len(left_out)} other files are there, such as {named})"


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
