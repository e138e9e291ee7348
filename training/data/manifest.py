"""The photos of a job: CheckDataset's manifest, reading a photo, and work on photos in threads."""

from __future__ import annotations

import json
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

import contract
from training.data.positioned_files import Lines, line_offsets
from training.preprocess import ImageError
from training.runtime import environment
from training.runtime.environment import JobError
from training.runtime.machine import reading_threads

__all__ = [
    "BROKEN_SHARE",
    "BrokenImages",
    "Manifest",
    "PhotoList",
    "in_order",
    "read_manifest",
    "read_photo",
    "read_summary",
    "share_of",
]

BROKEN_SHARE = 0.05
"""Share of broken photos up to which they are left out and named; above it the job stops."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class PhotoList(Sequence[contract.ImageRecord]):
    """Records of the manifest, read from its file as they are asked for: a million take 8 MB, not a gigabyte."""

    def __init__(self, lines: Lines):
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> contract.ImageRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[contract.ImageRecord]: ...
    def __getitem__(self, index: int | slice) -> contract.ImageRecord | list[contract.ImageRecord]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        record: contract.ImageRecord = json.loads(self._lines[index])
        return record


@dataclass(frozen=True)
class Manifest:
    """What CheckDataset wrote: the classes, and the records of each split in key order."""

    summary: contract.DatasetSummary
    records: dict[contract.SplitName, Sequence[contract.ImageRecord]]

    @property
    def classes(self) -> list[str]:
        """Names of the classes; a label is an index into them."""
        return [entry["name"] for entry in self.summary["classes"]]

    @property
    def training_counts(self) -> list[int]:
        """Number of training photos of each class."""
        return [entry["train"] for entry in self.summary["classes"]]


def read_summary(folder: Path) -> contract.DatasetSummary:
    """Read the data set's summary, which lies in the manifest channel.

    Raises:
        JobError: it is missing or damaged.
    """
    try:
        text = (folder / contract.Artefact.DATASET_SUMMARY).read_text(encoding="utf-8")
        summary: contract.DatasetSummary = json.loads(text)
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise _unreadable(error) from error
    return summary


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest channel, line by line.

    Raises:
        JobError: a file is missing, or a split has no photos.
    """
    summary = read_summary(folder)

    # where each split's lines begin
    file = folder / contract.Artefact.MANIFEST
    offsets: dict[contract.SplitName, array[int]] = {split: array("q") for split in contract.SPLITS}
    try:
        for offset, line in line_offsets(file):
            offsets[json.loads(line)["split"]].append(offset)
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise _unreadable(error) from error
    for split, found in offsets.items():
        if not found:
            raise JobError(f"the manifest has no {split} photos; start the state machine again, which writes it anew")

    return Manifest(
        summary=summary,
        records={
            split: PhotoList(Lines(file, np.frombuffer(found, dtype=np.int64))) for split, found in offsets.items()
        },
    )


def _unreadable(error: Exception) -> JobError:
    return JobError(f"the manifest cannot be read ({error}); start the state machine again, which writes it anew")


def share_of(records: Sequence[contract.ImageRecord], *, host: int, hosts: int) -> NDArray[np.int64]:
    """Return the positions of the records that one of several hosts works on.

    A photo's key alone decides, so that its host stays the same when others are added.
    """
    if hosts == 1:
        return np.arange(len(records), dtype=np.int64)
    mine = array("q", (at for at, record in enumerate(records) if zlib.crc32(record["path"].encode()) % hosts == host))
    return np.frombuffer(mine, dtype=np.int64) if mine else np.zeros(0, dtype=np.int64)


def read_photo(root: Path, path: str) -> bytes:
    """Return the bytes of a photo of the dataset channel.

    Raises:
        ImageError: there is no such file below the channel's folder.
    """
    # By its text alone: resolving it would ask the file system, which in FastFile mode is S3, about every folder.
    if path.startswith("/") or ".." in path.split("/"):
        raise ImageError("the file is not in the dataset channel")
    try:
        with open(f"{root}/{path}", "rb", buffering=0) as file:  # noqa: PTH123 (a third of pathlib's time a photo)
            return file.readall()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ImageError(
            "the file is not in the dataset channel; it was removed or renamed after the run had checked the data set"
        ) from None


@dataclass
class BrokenImages:
    """Photos that could not be decoded: left out and named, until they are too many to be accidents."""

    total: int
    """Photos in the whole data set."""
    paths: list[str] = field(default_factory=list)

    def add(self, path: str, error: ImageError) -> None:
        """Count a broken photo.

        Raises:
            JobError: more than 5 % of all photos, and more than one, are broken.
        """
        self.paths.append(path)
        print(f"left out: {path}: {error}", flush=True)
        if len(self.paths) > max(1, BROKEN_SHARE * self.total):
            raise JobError(
                f"{len(self.paths)} of {self.total} photos are broken, more than {BROKEN_SHARE:.0%}: "
                f"{', '.join(self.paths[:5])}{', ...' if len(self.paths) > 5 else ''} "
                f"(the last one: {error}); remove or replace them and start again"
            )


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[tuple[Item, Result | ImageError]]:
    """Yield each item with the result of `work` on it, in order; threads work up to `ahead` items in advance.

    Where photos are streamed from S3, there are more threads than cores and at least an item ahead for each.

    An ImageError is handed over in place of the result; any other exception ends the iteration.
    """
    remaining = iter(items)
    streamed = environment.is_streamed(contract.Channel.DATASET)
    threads = reading_threads(streamed=streamed)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        for item in islice(remaining, max(ahead, threads) if streamed else ahead):
            waiting.append((item, pool.submit(work, item)))
        while waiting:
            item, future = waiting.popleft()
            for following in islice(remaining, 1):
                waiting.append((following, pool.submit(work, following)))
            try:
                yield item, future.result()
            except ImageError as error:
                yield item, error
