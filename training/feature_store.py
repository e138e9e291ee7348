"""Features on disk, as `contract.FeaturesIndex` describes them: what the features job writes and the heads read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import contract
from training.environment import JobError

__all__ = ["SplitFeatures", "SplitWriter", "read_index", "read_split", "write_index"]

_FEATURES, _LABELS, _PATHS = "{}_features.npy", "{}_labels.npy", "{}_paths.json"


@dataclass(frozen=True)
class SplitFeatures:
    """Features of one split, read lazily from disk."""

    features: NDArray[np.float32]
    """(views, images, dim); view 0 is the plain centre crop."""
    labels: NDArray[np.int64]
    """(images,)"""
    paths: list[str]


class SplitWriter:
    """Writes one split straight to disk: five views of 100,000 photos do not fit into a small machine's memory."""

    def __init__(self, folder: Path, *, split: contract.SplitName, views: int, images: int, dim: int):
        self._folder, self._split = folder, split
        self._file = folder / _FEATURES.format(split)
        self._array = np.lib.format.open_memmap(self._file, mode="w+", dtype=np.float32, shape=(views, images, dim))
        self._labels: list[int] = []
        self._paths: list[str] = []

    def add(self, features: NDArray[np.float32], *, labels: Sequence[int], paths: Sequence[str]) -> None:
        """Append a batch: (views, batch, dim)."""
        start = len(self._labels)
        self._array[:, start : start + len(labels)] = features
        self._labels += labels
        self._paths += paths

    def close(self) -> int:
        """Finish the files; returns how many images they hold, which is less than announced if some were broken."""
        count = len(self._labels)
        if count < self._array.shape[1]:
            kept = np.array(self._array[:, :count])
            del self._array
            np.save(self._file, kept)
        else:
            self._array.flush()
            del self._array
        np.save(self._folder / _LABELS.format(self._split), np.array(self._labels, dtype=np.int64))
        (self._folder / _PATHS.format(self._split)).write_text(json.dumps(self._paths), encoding="utf-8")
        return count


def write_index(folder: Path, index: contract.FeaturesIndex) -> None:
    """Write the index, last of all: where it exists, the features are whole."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    index["files"] = [{"name": path.name, "bytes": path.stat().st_size} for path in files]
    (folder / contract.Artefact.FEATURES_INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")


def read_index(channel: Path) -> tuple[Path, contract.FeaturesIndex]:
    """The folder below the features channel that holds the index, and the index.

    Raises:
        JobError: no index, more than one, or files that are missing or cut short.
    """
    found = sorted(channel.rglob(str(contract.Artefact.FEATURES_INDEX)))
    if len(found) != 1:
        raise JobError(
            f"the features channel holds {len(found)} {contract.Artefact.FEATURES_INDEX} and must hold one; "
            "point it at one features job's output"
        )
    folder = found[0].parent
    index: contract.FeaturesIndex = json.loads(found[0].read_text(encoding="utf-8"))
    for file in index["files"]:
        path = folder / file["name"]
        if not path.is_file() or path.stat().st_size != file["bytes"]:
            raise JobError(f"features file {file['name']} is missing or cut short; delete these features and run again")
    return folder, index


def read_split(folder: Path, split: contract.SplitName) -> SplitFeatures:
    """Features of one split; the array stays on disk and is read as it is used."""
    array: NDArray[Any] = np.load(folder / _FEATURES.format(split), mmap_mode="r")
    return SplitFeatures(
        features=array,
        labels=np.load(folder / _LABELS.format(split)),
        paths=json.loads((folder / _PATHS.format(split)).read_text(encoding="utf-8")),
    )
