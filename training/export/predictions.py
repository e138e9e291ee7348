"""What model files answer to photos as the endpoint sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

import contract
from training.evaluation.served_photos import Batch, Crop, batches
from training.runtime.environment import JobError

__all__ = ["Model", "Predictions", "predict"]

Model = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From pixels, (N, S, S, 3), to probabilities, (N, classes)."""

Name = TypeVar("Name", bound=str)

_FIRST = 16


@dataclass(frozen=True)
class Predictions(Generic[Name]):
    """The models' probabilities for the photos that could be read."""

    probabilities: dict[Name, NDArray[np.float32]]
    """By model, (images, classes) each."""
    labels: NDArray[np.int64]
    """(images,)"""
    paths: list[str]
    first: NDArray[np.uint8]
    """Pixels of up to sixteen of the photos, spread over the classes."""

    def predicted(self, model: Name) -> NDArray[np.int64]:
        """Return the likeliest class of each photo, (images,)."""
        likeliest: NDArray[np.int64] = self.probabilities[model].argmax(axis=1)
        return likeliest

    def accuracy(self, model: Name) -> float:
        """Return the share of the photos that a model gets right."""
        return float((self.predicted(model) == self.labels).mean())


def predict(
    models: Mapping[Name, Model],
    records: Sequence[contract.ImageRecord],
    crop: Crop,
    *,
    also: Callable[[Batch], None] | None = None,
) -> Predictions[Name]:
    """Run every model over the photos, which are decoded once for all of them, and for whatever `also` does with them.

    Raises:
        JobError: none of the photos can be read.
    """
    probabilities: dict[Name, list[NDArray[np.float32]]] = {name: [] for name in models}
    seen: list[contract.ImageRecord] = []
    kept: list[NDArray[np.uint8]] = []
    step = max(1, len(records) // _FIRST)
    for batch in batches(records, crop):
        if also is not None:
            also(batch)
        pixels = np.stack([image for _, image in batch])
        for name, model in models.items():
            probabilities[name].append(model(pixels))
        kept += [image for offset, (_, image) in enumerate(batch, start=len(seen)) if offset % step == 0]
        seen += [record for record, _ in batch]

    if not seen:
        raise JobError(
            f"none of the {len(records)} {records[0]['split']} photos could be read; replace them and start again"
        )
    return Predictions(
        probabilities={name: np.concatenate(parts) for name, parts in probabilities.items()},
        labels=np.array([record["label"] for record in seen], dtype=np.int64),
        paths=[record["path"] for record in seen],
        first=np.stack(kept[:_FIRST]),
    )
