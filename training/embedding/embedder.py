"""Running the frozen backbone over photos: what the features job does to one split."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import contract
from training.data.manifest import BrokenImages, in_order, read_photo
from training.data.transforms import augmented_view
from training.embedding.files import SplitWriter
from training.model.backbones import Backbone
from training.model.compute import fast_bfloat16
from training.preprocess import ImageError, Preprocessing, center_crop, decode
from training.runtime.machine import has_cuda

__all__ = ["BATCH_PIXELS", "Embedder", "embed_photos", "views_of"]

BATCH_PIXELS = 64 * 224 * 224
"""Pixels the backbone sees at once: large enough to keep a CPU's cores busy, small enough for a small machine."""


@dataclass(frozen=True)
class Embedder:
    """The frozen backbone on its device, in its precision."""

    backbone: Backbone
    device: torch.device
    precision: contract.FeaturePrecision

    @classmethod
    def on_best_device(cls, backbone: Backbone) -> Embedder:
        """Put the backbone on the GPU if there is one; in bfloat16 where the device computes in it.

        Features that were computed in bfloat16 are kept in it too: more digits would be digits of noise. On 240 photos
        of ten classes, under five seeds, the heads' best accuracy moved by one photo at most (EfficientNet-Lite0).

        Raises:
            JobError: the machine has GPUs that torch cannot use.
        """
        device = torch.device("cuda" if has_cuda() else "cpu")
        return cls(backbone.to(device), device, "bfloat16" if fast_bfloat16(device) else "float32")

    def embed(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        """Return the features of uint8 pixels (N, S, S, 3): float32, (N, dim)."""
        with torch.inference_mode(), self._autocast():
            features: NDArray[np.float32] = self.backbone(pixels.to(self.device, non_blocking=True)).cpu().numpy()
        return features

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext()


def embed_photos(
    embedder: Embedder,
    writer: SplitWriter,
    *,
    name: str,
    records: Sequence[contract.ImageRecord],
    positions: NDArray[np.int64],
    views: int,
    photos: Path,
    broken: BrokenImages,
    hyperparameters: contract.Hyperparameters,
) -> None:
    """Embed the photos at `positions` of the records and append them to the writer, the broken ones left out.

    Raises:
        JobError: too many are broken.
    """
    size = max(1, BATCH_PIXELS // (views * hyperparameters.image_size**2))
    progress = _Progress(name=name, total=len(positions))
    batch: list[tuple[int, NDArray[np.uint8]]] = []

    def flush() -> None:
        if not batch:
            return
        pixels = np.stack([pictures for _, pictures in batch])  # (batch, views, S, S, 3)
        features = embedder.embed(torch.from_numpy(pixels).flatten(0, 1))
        at = [position for position, _ in batch]
        writer.add(
            features.reshape(len(batch), views, -1), records=[records[position] for position in at], positions=at
        )
        progress.advance(len(batch))
        batch.clear()

    def pictures_of(position: int) -> NDArray[np.uint8]:
        return views_of(
            records[position],
            photos=photos,
            views=views,
            hyperparameters=hyperparameters,
            preprocessing=embedder.backbone.preprocessing,
        )

    # threads decode ahead of the backbone
    for position, pictures in in_order(pictures_of, map(int, positions), ahead=2 * size):
        if isinstance(pictures, ImageError):
            broken.add(records[position]["path"], pictures)
            continue
        batch.append((position, pictures))
        if len(batch) == size:
            flush()
    flush()


def views_of(
    record: contract.ImageRecord,
    *,
    photos: Path,
    views: int,
    hyperparameters: contract.Hyperparameters,
    preprocessing: Preprocessing,
) -> NDArray[np.uint8]:
    """Return all views of one photo, the plain one first: uint8, (views, S, S, 3)."""
    image = decode(read_photo(photos, record["path"]), shorter_side=preprocessing.resize)
    pictures = [center_crop(image, preprocessing)]
    for view in range(1, views):
        seed = f"{hyperparameters.seed}/{record['path']}/{view}"
        pictures.append(augmented_view(image, preprocessing, flip=hyperparameters.flip, seed=seed))
    return np.stack(pictures)


class _Progress:
    """Prints the progress of a split, at most every five seconds and at its end."""

    def __init__(self, *, name: str, total: int):
        self._name, self._total, self._done = name, total, 0
        self._start = self._printed = time.monotonic()

    def advance(self, images: int) -> None:
        self._done += images
        now = time.monotonic()
        if now - self._printed < 5 and self._done < self._total:
            return
        self._printed = now
        rate = self._done / max(now - self._start, 1e-9)
        print(
            f"{self._name}: {self._done}/{self._total} photos, {rate:.0f} photos/s, "
            f"{max(self._total - self._done, 0) / rate:.0f} s left",
            flush=True,
        )
