"""What is known of photos by their content: features and pixels, kept on disk so that a second check takes seconds."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

import contract
from training.data.positioned_files import DiskRows
from training.doctor.pixels import PIXELS
from training.embedding.files import floats, rounded

__all__ = ["KeptPhotos"]


class KeptPhotos:
    """A file of one record for each photo, found by the SHA-256 of the photo's bytes; new ones are appended."""

    def __init__(self, file: BinaryIO, path: Path, *, dim: int, precision: contract.FeaturePrecision):
        """Read which photos are there. What an interrupted check left of a record at the end is cut off."""
        self._precision: contract.FeaturePrecision = precision
        stored = np.float32 if precision == "float32" else np.uint16
        self._record = np.dtype([("content", np.uint8, (32,)), ("pixels", PIXELS), ("features", stored, (dim,))])
        self._file, self._path = file, path
        rows = path.stat().st_size // self._record.itemsize
        file.truncate(rows * self._record.itemsize)
        contents = DiskRows(path, shape=(rows,), dtype=self._record)
        self._row_of = {
            record["content"].tobytes(): row
            for start in range(0, rows, 1024)
            for row, record in enumerate(contents.rows(np.arange(start, min(start + 1024, rows))), start)
        }

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, dim: int, precision: contract.FeaturePrecision) -> Iterator[KeptPhotos]:
        """Open the file for this process alone: another check waits."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield cls(file, path, dim=dim, precision=precision)

    def __contains__(self, content: bytes) -> bool:
        return content in self._row_of

    def add(self, contents: Sequence[bytes], *, pixels: NDArray[Any], features: NDArray[np.float32]) -> None:
        """Append photos: their SHA-256, their `PIXELS` (N,), and their features (N, dim)."""
        records = np.zeros(len(contents), dtype=self._record)
        records["content"] = np.frombuffer(b"".join(contents), dtype=np.uint8).reshape(-1, 32)
        records["pixels"] = pixels
        records["features"] = rounded(features, self._precision)
        self._file.write(records.tobytes())
        self._file.flush()
        for content in contents:
            self._row_of[content] = len(self._row_of)

    def pixels(self, contents: Sequence[bytes]) -> NDArray[Any]:
        """Return the pixels of photos that are here: `PIXELS`, (N,)."""
        return np.ascontiguousarray(self._rows(contents)["pixels"])

    def features(self, contents: Sequence[bytes]) -> NDArray[np.float32]:
        """Return the features of photos that are here: (N, dim)."""
        return floats(np.ascontiguousarray(self._rows(contents)["features"]))

    def _rows(self, contents: Sequence[bytes]) -> NDArray[Any]:
        numbers = np.array([self._row_of[content] for content in contents], dtype=np.int64)
        return DiskRows(self._path, shape=(len(self._row_of),), dtype=self._record).rows(numbers)
