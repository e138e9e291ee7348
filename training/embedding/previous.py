"""Features of an earlier run, from which those of unchanged photos are taken over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import contract
from training.data.positioned_files import DiskRows, Lines
from training.embedding.files import Names
from training.embedding.store import photos_of, read_index
from training.runtime.environment import JobError

__all__ = ["Known", "PreviousFeatures"]


class PreviousFeatures:
    """The features job's `previous` channel."""

    def __init__(self, channel: Path, *, backbone: str):
        """Open the features below the channel: those of a backbone, where there are several's.

        Raises:
            JobError: they are not whole.
        """
        self._folder, self._index = read_index(channel, backbone=backbone)

    def differs_in(self, index: contract.FeaturesIndex) -> list[str]:
        """Return the fields of `FeatureSpec` that differ from those of `index`; none if they can be taken over."""
        before, now = dict(self._index), dict(index)
        return [name for name in contract.FEATURE_SPEC_FIELDS if before.get(name) != now[name]]

    def split(self, split: contract.SplitName) -> list[Known]:
        """Return one split's features, a part an entry."""
        of = self._index["part"]["of"]
        folders = [self._folder / contract.features_part_folder(number=number, of=of) for number in range(of)]
        return [Known.open(folder, split) for folder in folders]


@dataclass(frozen=True)
class Known:
    """One part's photos, found by path and ETag."""

    features: DiskRows
    photos: Lines
    keys: NDArray[np.uint64]
    """Hashes of path and ETag, ascending: eight bytes a photo in place of its name."""
    rows: NDArray[np.int64]
    """The row each key belongs to."""

    @classmethod
    def open(cls, folder: Path, split: contract.SplitName) -> Known:
        """Read one part's names; its features stay on disk."""
        photos = photos_of(folder, split)
        keys = np.fromiter((_key(*json.loads(photos[row])) for row in range(len(photos))), np.uint64, len(photos))
        rows = np.argsort(keys, kind="stable")
        features = DiskRows.of_npy(folder / Names(split).features)
        if len(features) != len(photos):
            raise JobError(f"the previous {split} features and their names do not match; delete these features")
        return cls(features=features, photos=photos, keys=keys[rows], rows=rows)

    def row_of(self, record: contract.ImageRecord) -> int | None:
        """Return the row of the photo, if it was there with the same content."""
        at = int(np.searchsorted(self.keys, np.uint64(_key(record["path"], record["etag"]))))
        if at == len(self.keys):
            return None
        row = int(self.rows[at])
        return row if json.loads(self.photos[row]) == [record["path"], record["etag"]] else None

    def copies(
        self, records: Sequence[contract.ImageRecord], positions: Iterable[int], *, batch: int
    ) -> Iterator[tuple[list[int], NDArray[Any]]]:
        """Yield positions of photos that are here, in batches, and their features as stored: (batch, views, dim)."""
        found: list[tuple[int, int]] = []
        for position in positions:
            row = self.row_of(records[position])
            if row is not None:
                found.append((position, row))
            if len(found) == batch:
                yield self._rows(found)
                found = []
        if found:
            yield self._rows(found)

    def _rows(self, found: list[tuple[int, int]]) -> tuple[list[int], NDArray[Any]]:
        rows = np.array([row for _, row in found], dtype=np.int64)
        return [position for position, _ in found], self.features.rows(rows)


def _key(path: str, etag: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{etag} {path}".encode(), digest_size=8).digest(), "big")
