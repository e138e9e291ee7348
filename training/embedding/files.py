"""The files of one host's part of the features: their names, their number format, and how they are written."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

import contract

__all__ = ["Names", "SplitWriter", "floats", "rounded", "write_index"]

_STORED: Final[dict[contract.FeaturePrecision, np.dtype[Any]]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(np.uint16),
}
"""The arrays' types by the features' precision; numpy knows no bfloat16."""


@dataclass(frozen=True)
class Names:
    """File names of one split."""

    split: contract.SplitName

    @property
    def features(self) -> str:
        """The features' file: (images, views, dim)."""
        return f"{self.split}_features.npy"

    @property
    def labels(self) -> str:
        """The labels' file: int64, (images,)."""
        return f"{self.split}_labels.npy"

    @property
    def positions(self) -> str:
        """The file of the photos' positions in the manifest's split: int64, (images,)."""
        return f"{self.split}_positions.npy"

    @property
    def photos(self) -> str:
        """The file of the photos' names: a JSON list [path, ETag] a line."""
        return f"{self.split}_photos.jsonl"


def rounded(values: NDArray[np.float32], precision: contract.FeaturePrecision) -> NDArray[Any]:
    """Return features as they are stored: bfloat16 is the upper half of float32, rounded to nearest even, as uint16."""
    if precision != "bfloat16":
        return values.astype(_STORED[precision], copy=False)
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def floats(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Return stored features as float32: the inverse of `rounded`."""
    if stored.dtype != _STORED["bfloat16"]:
        return stored.astype(np.float32, copy=False)
    return (stored.astype(np.uint32) << 16).view(np.float32)


class SplitWriter:
    """Appends to one split's files, so that its memory does not grow with the photos; finished by leaving `with`."""

    def __init__(
        self, folder: Path, *, split: contract.SplitName, views: int, dim: int, precision: contract.FeaturePrecision
    ):
        self._folder, self._names = folder, Names(split)
        self._views, self._dim, self._precision = views, dim, precision
        self._file: BinaryIO = (folder / self._names.features).open("wb")
        self._photos = (folder / self._names.photos).open("w", encoding="utf-8")
        self._labels, self._positions = array("q"), array("q")
        self._write_header()

    def add(
        self,
        features: NDArray[np.float32],
        *,
        records: Sequence[contract.ImageRecord],
        positions: Sequence[int],
    ) -> None:
        """Append a batch of photos: features (batch, views, dim), and where each stands in the manifest's split."""
        self.add_stored(rounded(features, self._precision), records=records, positions=positions)

    def add_stored(
        self, stored: NDArray[Any], *, records: Sequence[contract.ImageRecord], positions: Sequence[int]
    ) -> None:
        """Append a batch of photos whose features are in the stored format already."""
        self._file.write(np.ascontiguousarray(stored).data)
        for record, position in zip(records, positions, strict=True):
            self._labels.append(record["label"])
            self._positions.append(position)
            self._photos.write(json.dumps([record["path"], record["etag"]]) + "\n")

    @property
    def count(self) -> int:
        """Number of photos that were added."""
        return len(self._labels)

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the files; after an error, leave them unfinished."""
        with self._file, self._photos:
            if kind is None:
                self._file.seek(0)
                self._write_header()
                np.save(self._folder / self._names.labels, np.array(self._labels, dtype=np.int64))
                np.save(self._folder / self._names.positions, np.array(self._positions, dtype=np.int64))

    def _write_header(self) -> None:
        """Write the array's header, in which numpy leaves room for the first axis to grow (since numpy 1.25)."""
        kind = _STORED[self._precision]
        shape = (len(self._labels), self._views, self._dim)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        )


def write_index(folder: Path, index: contract.FeaturesIndex) -> None:
    """Write the index, last of all: where it exists, the features are whole."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    index["files"] = [{"name": path.name, "bytes": path.stat().st_size} for path in files]
    (folder / contract.Artefact.FEATURES_INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
