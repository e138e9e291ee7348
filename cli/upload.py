"""Make the data set in the bucket the same as a folder of photos on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli import CliError
from cli.photos import Photos, media_type

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Changes", "compare", "upload"]

THREADS = 8
DELETE_BATCH = 1000
"""The most keys that one DeleteObjects call takes (S3 API)."""


@dataclass(frozen=True)
class Changes:
    """What an upload has to change in the bucket."""

    missing: tuple[Path, ...]
    """Photos that the bucket lacks or holds with other content, relative to the folder."""
    surplus: tuple[str, ...]
    """Keys in the bucket that the folder lacks; empty if they are to be kept."""
    unchanged: int


def compare(s3: Any, *, photos: Photos, bucket: str, prefix: str, add: bool = False) -> Changes:
    """Compare the folder with the bucket by content; S3's ETag of an object uploaded in one part is its MD5.

    Args:
        s3: The S3 client.
        photos: The folder's photos.
        bucket: Name of the bucket.
        prefix: Key prefix of the data set, with a slash at its end.
        add: Keep the objects that the folder lacks.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    held = {item["Key"]: item["ETag"].strip('"') for page in pages for item in page.get("Contents", [])}
    wanted = {prefix + path.as_posix(): path for path in photos.paths}
    missing = tuple(path for key, path in wanted.items() if held.get(key) != _md5(photos.folder / path))
    surplus = () if add else tuple(sorted(held.keys() - wanted.keys()))
    return Changes(missing, surplus, len(wanted) - len(missing))


def upload(s3: Any, *, photos: Photos, changes: Changes, bucket: str, prefix: str, console: Console) -> None:
    """Upload the missing photos, then delete the surplus objects, with a progress bar.

    An interrupted upload therefore leaves too many photos rather than too few. A deleted object can be restored: the
    bucket keeps its versions.

    Raises:
        CliError: S3 did not delete an object.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress, ThreadPoolExecutor(THREADS) as threads:
        task = progress.add_task("uploading", total=len(changes.missing))

        def put(path: Path) -> None:
            # put_object rather than upload_file: in one part, so that the ETag is the content's MD5.
            with (photos.folder / path).open("rb") as body:
                s3.put_object(Bucket=bucket, Key=prefix + path.as_posix(), Body=body, ContentType=media_type(path))
            progress.advance(task)

        for _ in threads.map(put, changes.missing):
            pass  # a failed upload raises its error here

        for keys in _batches(changes.surplus):
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
            if errors := answer.get("Errors"):
                raise CliError(
                    f"S3 did not delete {errors[0]['Key']}: {errors[0]['Message']}; allow s3:DeleteObject there, or "
                    "keep what the folder lacks with --add"
                )


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    keys = list(keys)
    for start in range(0, len(keys), DELETE_BATCH):
        yield keys[start : start + DELETE_BATCH]
