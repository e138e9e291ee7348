"""The examination of a run's photos, from the features that the run has anyway."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import contract
from training.data.manifest import Manifest
from training.doctor.examine import Photos, examine, finding_of
from training.embedding.store import read_split

__all__ = ["examine_run"]


def examine_run(folder: Path, *, index: contract.FeaturesIndex, manifest: Manifest) -> contract.DatasetCheck | None:
    """Return what is suspected of a run's photos, over all splits; None if they are too many.

    Pixels are not at hand, so that neither blurred nor dark photos are named, and copies only where their features are
    nearly equal.

    Args:
        folder: of the features.
        index: of the features.
        manifest: of the photos.
    """
    if sum(index["counts"].values()) > contract.MOST_EXAMINED_PHOTOS:
        return None
    splits = {split: read_split(folder, split) for split in contract.SPLITS}
    counts = [len(features.labels) for features in splits.values()]
    starts = np.cumsum([0, *counts[:-1]])

    def read(positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the plain views of the photos at positions in all splits, one split after the other."""
        found = np.empty((len(positions), index["dim"]), dtype=np.float32)
        for start, count, split in zip(starts, counts, splits.values(), strict=True):
            here = (positions >= start) & (positions < start + count)
            images = positions[here] - start
            found[here] = split.features[np.zeros(len(images), dtype=np.int64), images]
        return found

    paths = [path for features in splits.values() for path in features.paths]
    check = examine(
        Photos(
            paths=paths,
            labels=np.concatenate([features.labels for features in splits.values()]),
            splits=[split for split, count in zip(splits, counts, strict=True) for _ in range(count)],
            contents=paths,  # CheckDataset has left out files that are there twice
            pixels=None,
        ),
        read=read,
        levels=index["levels"],
        classes=index["classes"],
        image_size=index["image_size"],
    )
    damaged = _damaged(set(index["broken"]), manifest)
    return {**check, "photos": len(paths) + len(damaged), "findings": damaged + check["findings"]}


def _damaged(broken: set[str], manifest: Manifest) -> list[contract.PhotoFinding]:
    """Return findings on the photos that the features job left out, which are few."""
    if not broken:
        return []
    return [
        finding_of(
            "unreadable",
            record["path"],
            label=record["label"],
            split=record["split"],
            reason="the features job could not read it; its log says why",
        )
        for records in manifest.records.values()
        for record in records
        if record["path"] in broken
    ]
