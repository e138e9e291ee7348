"""Features on disk, as `contract.FeaturesIndex` describes them: reading what the features job wrote.

The arrays stay on disk and may lie in several parts, one a host; `StoredFeatures` looks like one array of float32.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

import contract
from training.data.positioned_files import DiskRows, Lines
from training.embedding.files import Names, floats
from training.runtime.environment import JobError

__all__ = ["SplitFeatures", "StoredFeatures", "StoredView", "photos_of", "read_index", "read_split"]


class StoredFeatures:
    """(views, images, dim) of float32, on disk: indexed by a view, or by an array of views and one of images.

    Only what is asked for is read, and nothing but positions is held in memory. A slice of views, and the whole as a
    numpy array, read everything.
    """

    def __init__(self, parts: Sequence[DiskRows], *, part_of: NDArray[np.int32], row_of: NDArray[np.int64]):
        """Join parts of (rows, views, dim): image i is row `row_of[i]` of part `part_of[i]`."""
        self._parts, self._part_of, self._row_of = parts, part_of, row_of
        _, views, dim = parts[0].shape
        self.shape: tuple[int, int, int] = (views, len(row_of), dim)
        self.dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[StoredView]:
        return (self[view] for view in range(len(self)))

    @overload
    def __getitem__(self, key: int) -> StoredView: ...
    @overload
    def __getitem__(self, key: slice) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, key: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.float32]: ...
    def __getitem__(
        self, key: int | slice | tuple[NDArray[np.int64], NDArray[np.int64]]
    ) -> StoredView | NDArray[np.float32]:
        if isinstance(key, tuple):
            return self._gather(*key)
        if isinstance(key, slice):
            return np.stack([np.asarray(self[view]) for view in range(*key.indices(len(self)))])
        if not 0 <= key < len(self):
            raise IndexError(f"view {key} of {len(self)}")
        return StoredView(self, view=key)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or np.float32, copy=False)

    def _gather(self, views: NDArray[np.int64], images: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return view `views[n]` of image `images[n]` for each n: (N, dim)."""
        parts, rows = self._part_of[images], self._row_of[images]
        found = np.empty((len(rows), self.shape[2]), dtype=np.float32)
        for number, part in enumerate(self._parts):
            here = slice(None) if len(self._parts) == 1 else parts == number
            found[here] = floats(part.cells(rows[here], views[here]))
        return found


class StoredView:
    """One view of every image: (images, dim) of float32, read in slices."""

    def __init__(self, stored: StoredFeatures, *, view: int):
        self._stored, self._view = stored, view
        self.shape: tuple[int, int] = stored.shape[1:]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, images: slice) -> NDArray[np.float32]:
        picked = np.arange(*images.indices(len(self)), dtype=np.int64)
        return self._stored[np.full(len(picked), self._view, dtype=np.int64), picked]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or np.float32, copy=False)


@dataclass(frozen=True)
class SplitFeatures:
    """Features of one split, read lazily from disk."""

    features: StoredFeatures | NDArray[np.float32]
    """(views, images, dim); view 0 is the plain centre crop."""
    labels: NDArray[np.int64]
    """(images,)"""
    paths: Sequence[str]


def read_index(channel: Path, *, backbone: str = "") -> tuple[Path, contract.FeaturesIndex]:
    """Return the folder of the features below their channel, and the index of all parts together.

    Args:
        channel: The folder that holds one features job's output.
        backbone: Which features to read, where the job made those of several backbones.

    Raises:
        JobError: no index, features of several jobs, a part that is missing, or files that are missing or cut short.
    """
    found = sorted(channel.rglob(str(contract.Artefact.FEATURES_INDEX)))
    # where there are several backbones, each one's features lie in a folder with its name
    own = contract.backbone_folder(backbone)
    found = [file for file in found if own in file.relative_to(channel).parts] or found
    parts = [_read_part(file) for file in found]
    jobs = {
        file.parent.parent if part["part"]["of"] > 1 else file.parent for file, part in zip(found, parts, strict=True)
    }
    if len(jobs) != 1:
        raise JobError(
            f"the features channel holds {len(found)} {contract.Artefact.FEATURES_INDEX} and must hold one, or those "
            "of one job's hosts; point it at one features job's output"
        )

    # all hosts' parts, and of the same features
    of = parts[0]["part"]["of"]
    numbers = sorted(part["part"]["number"] for part in parts)
    if numbers != list(range(of)) or any(_identity(part) != _identity(parts[0]) for part in parts):
        raise JobError(
            f"the features are in {of} parts, one a host, and parts {numbers} of the same features are there; "
            "delete these features and run again"
        )
    return jobs.pop(), _joined(parts)


def read_split(folder: Path, split: contract.SplitName) -> SplitFeatures:
    """Return one split's features in the manifest's order; the arrays stay on disk and are read as they are used.

    Raises:
        JobError: a photo is in two parts, or none could be read.
    """
    # the order of the manifest over all parts
    names = Names(split)
    folders = [folder] if (folder / contract.Artefact.FEATURES_INDEX).exists() else sorted(folder.glob("part-*-of-*"))
    positions = [np.load(part / names.positions) for part in folders]
    joined = np.concatenate(positions)
    order = np.argsort(joined, kind="stable")
    if len(joined) == 0 or len(np.unique(joined)) != len(joined):
        raise JobError(f"the features hold no {split} photo, or one twice; delete these features and run again")

    part_of = np.repeat(np.arange(len(folders), dtype=np.int32), [len(part) for part in positions])[order]
    row_of = np.concatenate([np.arange(len(part), dtype=np.int64) for part in positions])[order]
    return SplitFeatures(
        features=StoredFeatures(
            [DiskRows.of_npy(part / names.features) for part in folders], part_of=part_of, row_of=row_of
        ),
        labels=np.concatenate([np.load(part / names.labels) for part in folders])[order],
        paths=_Paths([photos_of(part, split) for part in folders], part_of=part_of, row_of=row_of),
    )


def photos_of(folder: Path, split: contract.SplitName) -> Lines:
    """Return path and ETag of each row of a part, as JSON lists."""
    return Lines(folder / Names(split).photos)


class _Paths(Sequence[str]):
    def __init__(self, parts: Sequence[Lines], *, part_of: NDArray[np.int32], row_of: NDArray[np.int64]):
        self._parts, self._part_of, self._row_of = parts, part_of, row_of

    def __len__(self) -> int:
        return len(self._row_of)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        path, _ = json.loads(self._parts[self._part_of[index]][int(self._row_of[index])])
        return str(path)


def _read_part(file: Path) -> contract.FeaturesIndex:
    index: contract.FeaturesIndex = json.loads(file.read_text(encoding="utf-8"))
    for listed in index["files"]:
        path = file.parent / listed["name"]
        if not path.is_file() or path.stat().st_size != listed["bytes"]:
            raise JobError(
                f"features file {listed['name']} is missing or cut short; delete these features and run again"
            )
    return index


def _identity(index: contract.FeaturesIndex) -> list[Any]:
    """Return what all parts of the same features have in common."""
    apart = ("counts", "broken", "part", "files")
    return [value for name, value in sorted(index.items()) if name not in apart] + [index["part"]["of"]]


def _joined(parts: Sequence[contract.FeaturesIndex]) -> contract.FeaturesIndex:
    first = parts[0]
    return {
        **first,
        "counts": {split: sum(part["counts"][split] for part in parts) for split in first["counts"]},
        "broken": [path for part in parts for path in part["broken"]],
        "files": [
            {
                "name": f"{contract.features_part_folder(**part['part'])}/{file['name']}".lstrip("/"),
                "bytes": file["bytes"],
            }
            for part in parts
            for file in part["files"]
        ],
    }
