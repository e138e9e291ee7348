"""Running a network over a split: every photo once, whichever of the processes it went through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data.loader import PhotoLoader, on_device
from training.loop.history import Scores, scores_of
from training.model.compute import autocast
from training.runtime.distributed import Group

__all__ = ["Predicted", "predict"]


@dataclass(frozen=True)
class Predicted:
    """A split's logits, in the order of its records, without the photos that could not be read."""

    logits: NDArray[np.float32]
    """(images, classes)"""
    labels: NDArray[np.int64]
    """(images,)"""
    paths: list[str]

    def scores(self) -> Scores:
        """Return loss, without label smoothing and in double precision, and accuracy."""
        return scores_of(self.logits.astype(np.float64), self.labels)


def predict(
    network: nn.Module,
    photos: PhotoLoader,
    *,
    group: Group,
    precision: torch.dtype | None,
    between: Callable[[], None] = lambda: None,
) -> Predicted:
    """Run the network over a split with all processes, each over its share; every process gets the whole result.

    The network may also be a backbone alone: its outputs, (images, dim), then stand in the place of the logits.

    Args:
        network: run in evaluation mode, and left in the mode it was in.
        photos: this process's share of the split.
        group: the processes.
        precision: what the network computes in; None for float32.
        between: called after each batch, equally often in every process.
    """
    before = network.training
    network.eval()

    # this process's share, batch by batch; nothing leaves the device before the end, so that it never waits
    batches: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for batch in on_device(photos, group.device):
        with torch.inference_mode(), autocast(group.device, precision):
            batches.append((batch.valid, batch.positions, batch.labels, network(batch.images).float()))
        between()
    network.train(before)
    valid, *mine = (torch.cat(values).cpu().numpy() for values in zip(*batches, strict=True))

    # everyone's share, in the order of the records
    every = group.gather([values[valid] for values in mine])
    positions, labels, logits = (np.concatenate(values) for values in zip(*every, strict=True))
    order = np.argsort(positions)
    return Predicted(
        logits=logits[order],
        labels=labels[order],
        paths=[photos.records[position]["path"] for position in positions[order]],
    )
