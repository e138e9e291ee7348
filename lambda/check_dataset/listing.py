"""The photos of a data set, as they lie in the bucket."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from contract import PHOTO_SUFFIXES, SPLIT_FOLDERS, SplitName

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["BadDataset", "Listing", "Photo", "list_photos", "sort_out"]

_MAX_LABEL = 256
_NAMED = 5
"""How many offenders an error message names."""


class BadDataset(ValueError):
    """The photos cannot be trained on as they lie; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo in a class folder; `split` is None where the folders do not say."""

    path: str
    label: str
    split: SplitName | None
    etag: str


@dataclass
class Listing:
    """What lies under the prefix."""

    photos: list[Photo] = field(default_factory=list)
    stray_files: int = 0

    @property
    def splits_given(self) -> bool:
        """Whether the folders say which split a photo belongs to."""
        return bool(self.photos) and self.photos[0].split is not None


def list_photos(s3: S3Client, *, bucket: str, prefix: str) -> Listing:
    """List a data set page by page; 100,000 photos are 100 calls and about 50 MB.

    Raises:
        BadDataset: nothing there, a mixture of layouts, or a class whose name no model can carry.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    objects = (
        (item["Key"], item["Size"], item["ETag"].strip('"')) for page in pages for item in page.get("Contents", [])
    )
    listing = sort_out(((key.removeprefix(prefix), size, etag) for key, size, etag in objects))
    if not listing.photos:
        others = f" ({listing.stray_files} other files are there)" if listing.stray_files else ""
        raise BadDataset(
            f"there are no photos in class folders under s3://{bucket}/{prefix}{others}; upload them as "
            f"s3://{bucket}/{prefix}<class>/<photo> or s3://{bucket}/{prefix}train|valid|test/<class>/<photo>; "
            f"photos end in {', '.join(sorted(PHOTO_SUFFIXES))}"
        )
    return listing


def sort_out(objects: Iterable[tuple[str, int, str]]) -> Listing:
    """Tell photos from strays among (path below the prefix, size in bytes, ETag).

    Raises:
        BadDataset: a mixture of layouts, or a class whose name no model can carry.
    """
    listing = Listing()
    found: list[tuple[str, str]] = []
    tops: dict[str, None] = {}
    for path, size, etag in objects:
        if path.endswith("/"):
            continue  # a folder, as the console makes them
        if not _is_photo(path, size):
            listing.stray_files += 1
            continue
        found.append((path, etag))
        tops.setdefault(path.split("/", 1)[0])
    given = [top for top in tops if top.lower() in SPLIT_FOLDERS]
    if given and len(given) != len(tops):
        others = [top for top in tops if top not in given]
        raise BadDataset(
            f"split folders ({', '.join(given)}) stand beside class folders ({_some(others)}); put every class below "
            "train/, valid/ and test/, or every class directly below the prefix"
        )
    for path, etag in found:
        photo = _photo(path, etag, given=bool(given))
        if photo is None:
            listing.stray_files += 1
        else:
            listing.photos.append(photo)
    _check_labels({photo.label for photo in listing.photos})
    return listing


def _is_photo(path: str, size: int) -> bool:
    """A file with a photo's ending and some content, in a folder, and no operating system's droppings."""
    parts = path.split("/")
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return len(parts) > 1 and not hidden and size > 0 and PurePosixPath(path).suffix.lower() in PHOTO_SUFFIXES


def _photo(path: str, etag: str, *, given: bool) -> Photo | None:
    if not given:
        return Photo(path, path.split("/", 1)[0], None, etag)
    top, label, rest = path.split("/", 2) if path.count("/") >= 2 else ("", "", "")
    return Photo(path, label, SPLIT_FOLDERS[top.lower()], etag) if rest else None


def _check_labels(labels: set[str]) -> None:
    odd = [label for label in sorted(labels) if _is_odd(label)]
    if odd:
        raise BadDataset(
            f"class folders with names that cannot be labels: {_some([ascii(label) for label in odd])}; rename them: "
            f"readable UTF-8 text without control characters or spaces at the ends, at most {_MAX_LABEL} characters"
        )


def _is_odd(label: str) -> bool:
    return (
        not label
        or len(label) > _MAX_LABEL
        or label != label.strip()
        or any(
            unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn") or character == "\ufffd" for character in label
        )
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
