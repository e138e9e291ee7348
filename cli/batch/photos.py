"""The photos of a batch: of a folder on this machine, or of a prefix in S3."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import contract
from cli import CliError
from cli.photos import FolderWalk

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["MAX_PHOTO_BYTES", "BatchPhoto", "Source", "folder_source", "prefix_source"]

MAX_PHOTO_BYTES: Final = contract.BATCH_PAYLOAD_MB * 2**20
_THREADS: Final = 8


@dataclass(frozen=True)
class BatchPhoto:
    """A photo of a batch."""

    path: str
    """As the results name it: below the folder or the prefix."""
    name: str
    """Its key below the source's prefix; of a folder's photo the hash of its content, so that copies are asked once."""
    modified: datetime | None = None
    """When it was written to S3: an older answer is that of another photo. None for a folder's photo."""
    problem: str | None = None
    """Why it is not sent at all."""


@dataclass(frozen=True)
class Source:
    """Where photos lie, and which there are."""

    title: str
    """The folder's path or the prefix's URI, as given."""
    place: str
    """The same in full: what makes the batch this one and no other."""
    photos: tuple[BatchPhoto, ...]
    folder: Path | None = None
    """None for photos that lie in S3 already."""
    ignored: int = 0
    """Files that are no photos by their names."""


def folder_source(folder: Path) -> Source:
    """Return the photos below a folder, links followed, in the order of their paths.

    Raises:
        CliError: it holds none.
    """
    walk = FolderWalk(folder)
    files = sorted((path, size) for path, size in walk.files() if not contract.is_system_file(path))
    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(lambda file: _of_file(folder, *file), files))
    found += [BatchPhoto(path=left["path"], name="", problem=left["reason"]) for left in walk.left_out]
    return _source(str(folder), str(folder.resolve()), found, folder=folder)


def prefix_source(target: Target, uri: str, *, allowed: Sequence[str]) -> Source:
    """Return the photos below an S3 prefix, in the order of their keys.

    Args:
        target: where the stack is deployed.
        uri: such as `s3://bucket/prefix/`; a slash at the end may be left out.
        allowed: the prefixes that the batches' role may read, as URIs.

    Raises:
        CliError: it is no prefix, the role may not read it, or it holds no photos.
    """
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise CliError(f"{uri} names no bucket: give s3://bucket/prefix/")
    prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    place = f"s3://{bucket}/{prefix}"
    if not place.startswith(tuple(allowed)):
        raise CliError(
            f"the batches' role may not read {place}, but {' and '.join(allowed)}: add it to the setting "
            "batch.sources, and deploy with `whippet up`"
        )
    listed = (
        item
        for page in target.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for item in page.get("Contents", [])
        if not item["Key"].endswith("/")
    )
    return _source(uri, place, list(_of_objects(listed, prefix)))


def _source(title: str, place: str, found: Sequence[BatchPhoto], *, folder: Path | None = None) -> Source:
    named = [photo for photo in found if contract.is_photo_name(photo.path)]
    photos = tuple(sorted(named, key=lambda photo: photo.path))
    if not photos:
        suffixes = ", ".join(sorted(contract.PHOTO_SUFFIXES))
        raise CliError(f"{title} holds no photos: their names end in one of {suffixes}")
    return Source(title=title, place=place, photos=photos, folder=folder, ignored=len(found) - len(photos))


def _of_file(folder: Path, path: str, size: int) -> BatchPhoto:
    if problem := _why_not(path, size):
        return BatchPhoto(path=path, name="", problem=problem)
    try:
        with (folder / path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return BatchPhoto(path=path, name="", problem=f"it cannot be read ({error.strerror})")
    return BatchPhoto(path=path, name=digest)


def _of_objects(listed: Iterator[Any], prefix: str) -> Iterator[BatchPhoto]:
    for item in listed:
        path = item["Key"].removeprefix(prefix)
        if not contract.is_system_file(path):
            problem = _why_not(path, item["Size"])
            yield BatchPhoto(path=path, name=path, modified=item["LastModified"], problem=problem)


def _why_not(path: str, size: int) -> str | None:
    if problem := contract.why_no_photo(path, size):
        return problem
    if size > MAX_PHOTO_BYTES:
        return f"it has {size:,} bytes, more than the {MAX_PHOTO_BYTES:,} of a batch's photo; send a smaller one"
    return None
