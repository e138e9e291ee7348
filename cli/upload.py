"""Make the data set in the bucket the same as a folder of photos on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import CliError
from cli.checksums import held_under_kms, sha256
from cli.photos import Photos, media_type
from cli.progress import progress_of
from contract import READY_FILE, FolderError, read_folders

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Changes", "compare", "content_hashes", "put_photo", "upload"]

THREADS = 8
DELETE_BATCH = 1000
"""The most keys that one DeleteObjects call takes (S3 API)."""


@dataclass(frozen=True)
class Changes:
    """What an upload has to change in the bucket."""

    missing: tuple[Path, ...]
    """Files that the bucket lacks or holds with other content, relative to the folder."""
    surplus: tuple[str, ...]
    """Keys in the bucket that the folder lacks; empty if they are to be kept."""
    unchanged: int


def content_hashes(photos: Photos) -> dict[Path, str]:
    """Return the MD5 of every file that is uploaded, in hexadecimal digits.

    Raises:
        CliError: a file cannot be read.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        return dict(zip(photos.files, threads.map(lambda path: _md5(photos, path), photos.files), strict=True))


def compare(
    s3: Any, *, photos: Photos, contents: Mapping[Path, str], bucket: str, prefix: str, add: bool = False
) -> Changes:
    """Compare the folder with the bucket by content; S3's ETag of an object uploaded in one part is its MD5.

    In a bucket with KMS it is not, and photos there are known by the checksum that `put_photo` gave them.

    Args:
        s3: The S3 client.
        photos: The folder's photos.
        contents: The MD5 of each file (`content_hashes`).
        bucket: Name of the bucket.
        prefix: Key prefix of the data set, with a slash at its end.
        add: Keep the objects that the folder lacks.

    Raises:
        CliError: what the folder would be added to has other folders, so that the classes of both cannot be told.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    listed = [
        (item["Key"], item["Size"], item["ETag"].strip('"')) for page in pages for item in page.get("Contents", [])
    ]
    held = {key: etag for key, _, etag in listed}
    wanted = {prefix + path.as_posix(): path for path in photos.files}
    if add:
        sizes = {key.removeprefix(prefix): size for key, size, _ in listed}
        _check_sum(sizes | {path.as_posix(): 1 for path in photos.files}, place=f"s3://{bucket}/{prefix}")
    differing = {path: key for key, path in wanted.items() if held.get(key) != contents[path]}
    kept = {path: key for path, key in differing.items() if key in held}
    same = held_under_kms(s3, photos=photos, bucket=bucket, keys=kept)
    missing = tuple(path for path in differing if path not in same)
    surplus = () if add else tuple(sorted(held.keys() - wanted.keys() - {prefix + READY_FILE}))
    return Changes(missing, surplus, len(wanted) - len(missing))


def upload(s3: Any, *, photos: Photos, changes: Changes, bucket: str, prefix: str, console: Console) -> None:
    """Upload the missing photos, then delete the surplus objects, with a progress bar.

    An interrupted upload therefore leaves too many photos rather than too few. A deleted object can be restored: the
    bucket keeps its versions.

    Raises:
        CliError: S3 did not delete an object.
    """
    total = len(changes.missing)
    with progress_of(console, "uploading", total=total) as progress, ThreadPoolExecutor(THREADS) as threads:

        def put(path: Path) -> None:
            put_photo(s3, bucket=bucket, key=prefix + path.as_posix(), body=photos.content(path))
            progress.advance()

        for _ in threads.map(put, changes.missing):
            pass  # a failed upload raises its error here

        for keys in _batches(changes.surplus):
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
            if errors := answer.get("Errors"):
                raise CliError(
                    f"S3 did not delete {errors[0]['Key']}: {errors[0]['Message']}; allow s3:DeleteObject there, or "
                    "keep what the folder lacks with --add"
                )


def put_photo(s3: Any, *, bucket: str, key: str, body: bytes, **more: str) -> None:
    """Upload one file of a data set; `more` are further parameters of PutObject.

    In one part, so that the ETag is the content's MD5. In a bucket with KMS it is not; there CheckDataset knows a photo
    by its SHA-256, which S3 compares with what it got.
    """
    s3.put_object(
        Bucket=bucket,
        Key=key,
        Body=body,
        ContentType=media_type(Path(key)),
        ChecksumSHA256=sha256(body),
        **more,
    )


def _check_sum(sizes: Mapping[str, int], *, place: str) -> None:
    try:
        read_folders(sizes.items(), place=place)
    except FolderError as error:
        raise CliError(
            f"with the photos that are there already: {error}; without --add, the upload removes what the folder lacks"
        ) from None


def _md5(photos: Photos, path: Path) -> str:
    try:
        content = photos.content(path)
    except OSError as error:
        raise CliError(
            f"{photos.folder / path} cannot be read ({error.strerror}): allow it, or move the file out of the folder"
        ) from None
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    keys = list(keys)
    for start in range(0, len(keys), DELETE_BATCH):
        yield keys[start : start + DELETE_BATCH]
