"""Photos as the endpoint will see them: in whole batches for the test, or a few to calibrate on."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import contract
from training.data.manifest import in_order, read_photo
from training.preprocess import ImageError, Preprocessing, plain_view

__all__ = ["Batch", "Crop", "as_served", "batches", "crops", "spread"]

Crop = Callable[[contract.ImageRecord], NDArray[np.uint8]]
"""From a photo's record to its pixels, (S, S, 3)."""

Batch = list[tuple[contract.ImageRecord, NDArray[np.uint8]]]
"""Photos' records, with their pixels, (S, S, 3) each."""

_BATCH = 32


def batches(records: Sequence[contract.ImageRecord], crop: Crop) -> Iterator[Batch]:
    """Yield photos in batches, decoded ahead, without the broken ones, which the features job named and counted."""
    batch: Batch = []
    for record, image in in_order(crop, records, ahead=2 * _BATCH):
        if isinstance(image, ImageError):
            continue
        batch.append((record, image))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def crops(records: Sequence[contract.ImageRecord], crop: Crop) -> NDArray[np.uint8]:
    """Return the photos in one array, (images, S, S, 3), without the broken ones."""
    return np.stack([image for batch in batches(records, crop) for _, image in batch])


def as_served(record: contract.ImageRecord, *, photos: Path, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return a photo as the endpoint will see it: uint8, (S, S, 3)."""
    return plain_view(read_photo(photos, record["path"]), preprocessing)


def spread(records: Sequence[contract.ImageRecord], *, number: int, seed: int) -> list[contract.ImageRecord]:
    """Return up to `number` photos drawn at random, about as many of every class."""
    of_class: dict[int, list[contract.ImageRecord]] = defaultdict(list)
    rng = random.Random(seed)  # noqa: S311 (a sample, not a secret)
    for record in rng.sample(list(records), len(records)):
        of_class[record["label"]].append(record)
    rounds = [
        record
        for turn in range(max(map(len, of_class.values())))
        for _, members in sorted(of_class.items())
        for record in members[turn : turn + 1]
    ]
    return rounds[:number]
