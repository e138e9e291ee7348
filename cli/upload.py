"""Make the data set in the bucket hold what a folder on this machine holds."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.photos import Photos

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Changes", "compare", "upload"]

THREADS = 8
DELETE_BATCH = 1000
"""Keys one DeleteObjects call takes (S3 API)."""


@dataclass(frozen=True)
class Changes:
    """What an upload has to do."""

    missing: tuple[Path, ...]
    """Photos the bucket lacks or holds with other bytes, relative to the folder."""
    surplus: tuple[str, ...]
    """Keys in the bucket that the folder does not hold."""
    unchanged: int


def compare(s3: Any, *, photos: Photos, bucket: str, prefix: str, add: bool = False) -> Changes:
    """Compare by content: S3's ETag of a photo uploaded in one part is its MD5."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    held = {item["Key"]: item["ETag"].strip('"') for page in pages for item in page.get("Contents", [])}
    wanted = {prefix + path.as_posix(): path for path in photos.paths}
    missing = tuple(path for key, path in wanted.items() if held.get(key) != _md5(photos.folder / path))
    surplus = () if add else tuple(sorted(held.keys() - wanted.keys()))
    return Changes(missing, surplus, len(wanted) - len(missing))


def upload(s3: Any, *, photos: Photos, changes: Changes, bucket: str, prefix: str, console: Console) -> None:
    """Put what is missing and delete what is surplus, with a progress bar.

    Photos go up first, so that an interrupted upload leaves too much rather than too little. A deleted object can be
    brought back: the bucket keeps its versions.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress, ThreadPoolExecutor(THREADS) as threads:
        task = progress.add_task("uploading", total=len(changes.missing))

        def put(path: Path) -> None:
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            # put_object rather than upload_file: one part, so that the ETag stays the content's hash.
            with (photos.folder / path).open("rb") as body:
                s3.put_object(Bucket=bucket, Key=prefix + path.as_posix(), Body=body, ContentType=kind)
            progress.advance(task)

        for _ in threads.map(put, changes.missing):
            pass  # map raises a failed upload's error here
        for keys in _batches(changes.surplus):
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
            if errors := answer.get("Errors"):
                raise OSError(f"S3 did not delete {errors[0]['Key']}: {errors[0]['Message']}")


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    keys = list(keys)
    for start in range(0, len(keys), DELETE_BATCH):
        yield keys[start : start + DELETE_BATCH]
