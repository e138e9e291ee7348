"""What model files answer to photos as the endpoint sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

import contract
from training.evaluation.served_photos import Batch, Crop, batches
from training.runtime.environment import JobError

__all__ = ["Model", "Outputs", "Predictions", "predict"]


@dataclass(frozen=True)
class Outputs:
    """What a model answers to N photos."""

    probabilities: NDArray[np.float32]
    """(N, classes)"""
    others: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Further outputs by name, such as `distance`; the first axis is (N,)."""


Model = Callable[[NDArray[np.uint8]], Outputs]
"""From pixels, (N, S, S, 3), to the outputs."""

Name = TypeVar("Name", bound=str)

_FIRST = 16


@dataclass(frozen=True)
class Predictions(Generic[Name]):
    """The models' outputs for the photos that could be read."""

    outputs: dict[Name, Outputs]
    """By model."""
    labels: NDArray[np.int64]
    """(images,)"""
    paths: list[str]
    first: NDArray[np.uint8]
    """Pixels of up to sixteen of the photos, spread over the classes."""

    @property
    def probabilities(self) -> dict[Name, NDArray[np.float32]]:
        """By model, (images, classes) each."""
        return {name: outputs.probabilities for name, outputs in self.outputs.items()}

    def predicted(self, model: Name) -> NDArray[np.int64]:
        """Return the likeliest class of each photo, (images,)."""
        likeliest: NDArray[np.int64] = self.outputs[model].probabilities.argmax(axis=1)
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
    answered: dict[Name, list[Outputs]] = {name: [] for name in models}
    seen: list[contract.ImageRecord] = []
    kept: list[NDArray[np.uint8]] = []
    step = max(1, len(records) // _FIRST)
    for batch in batches(records, crop):
        if also is not None:
            also(batch)
        pixels = np.stack([image for _, image in batch])
        for name, model in models.items():
            answered[name].append(model(pixels))
        kept += [image for offset, (_, image) in enumerate(batch, start=len(seen)) if offset % step == 0]
        seen += [record for record, _ in batch]

    if not seen:
        raise JobError(
            f"none of the {len(records)} {records[0]['split']} photos could be read; replace them and start again"
        )
    return Predictions(
        outputs={name: _joined(parts) for name, parts in answered.items()},
        labels=np.array([record["label"] for record in seen], dtype=np.int64),
        paths=[record["path"] for record in seen],
        first=np.stack(kept[:_FIRST]),
    )


def _joined(parts: Sequence[Outputs]) -> Outputs:
    return Outputs(
        np.concatenate([part.probabilities for part in parts]),
        {name: np.concatenate([part.others[name] for part in parts]) for name in parts[0].others},
    )
