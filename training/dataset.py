"""The photos a job reads: CheckDataset's manifest, and decoding ahead of the network."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from training import contract
from training.environment import JobError
from training.preprocess import ImageError

__all__ = ["BROKEN_SHARE", "BrokenImages", "Manifest", "decode_workers", "in_order", "read_manifest", "read_photo"]

BROKEN_SHARE = 0.05
"""Share of broken photos up to which they are left out and named; above it the job stops."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Manifest:
    """What CheckDataset wrote: the classes, and the records of each split in key order."""

    summary: contract.DatasetSummary
    records: dict[contract.SplitName, list[contract.ImageRecord]]

    @property
    def classes(self) -> list[str]:
        """Names of the classes; a label is an index into them."""
        return [entry["name"] for entry in self.summary["classes"]]


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest channel.

    Raises:
        JobError: a file is missing, or a split has no photos.
    """
    try:
        summary = json.loads((folder / contract.Artefact.DATASET_SUMMARY).read_text(encoding="utf-8"))
        with (folder / contract.Artefact.MANIFEST).open(encoding="utf-8") as lines:
            every: list[contract.ImageRecord] = [json.loads(line) for line in lines if line.strip()]
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise JobError(f"the manifest cannot be read ({error}); run the state machine's CheckDataset again") from error
    records = {split: [record for record in every if record["split"] == split] for split in contract.SPLITS}
    for split, found in records.items():
        if not found:
            raise JobError(f"the manifest has no {split} photos; run the state machine's CheckDataset again")
    return Manifest(summary=summary, records=records)


def read_photo(root: Path, path: str) -> bytes:
    """Bytes of a photo of the dataset channel.

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
        raise ImageError("the file is not in the dataset channel") from None


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


def decode_workers() -> int:
    """Threads that decode: one for each core this process may use. Pillow's decoders let go of the interpreter."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    work: Callable[[contract.ImageRecord], Result], records: Sequence[contract.ImageRecord], *, ahead: int
) -> Iterator[tuple[contract.ImageRecord, Result | ImageError]]:
    """Do `work` on the records in threads, at most `ahead` of them in advance; results in the records' order.

    An ImageError is handed over in place of the result; any other exception ends the iteration.
    """
    remaining = iter(records)
    with ThreadPoolExecutor(decode_workers(), thread_name_prefix="decode") as pool:
        waiting: deque[tuple[contract.ImageRecord, Future[Result]]] = deque()
        for record in islice(remaining, ahead):
            waiting.append((record, pool.submit(work, record)))
        while waiting:
            record, future = waiting.popleft()
            for following in islice(remaining, 1):
                waiting.append((following, pool.submit(work, following)))
            try:
                yield record, future.result()
            except ImageError as error:
                yield record, error
