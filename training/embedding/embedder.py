"""Running the frozen backbone over photos: what the features job does to one split."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

import contract
from training.data.manifest import BrokenImages, in_order, read_photo
from training.data.transforms import augmented_view
from training.embedding.files import SplitWriter
from training.embedding.pool import EmbedderPool, PhotoBatch
from training.embedding.transfer import Arriving, transfer_for
from training.model.backbones import Backbone
from training.model.compute import autocast, fast_bfloat16
from training.preprocess import ImageError, Preprocessing, center_crop, decode
from training.runtime.machine import cores, has_cuda

__all__ = ["BATCH_PIXELS", "Embedder", "embed_photos", "views_of"]

BATCH_PIXELS = 64 * 224 * 224
"""Pixels the backbone sees at once: large enough to keep a CPU's cores busy, small enough for a small machine."""

_GPU_BATCHES: Final = 4
"""A GPU's batches are larger by this: it has many more cores to keep busy, and a thread starts each batch's kernels."""

_AHEAD_BYTES: Final = 512 * 2**20

_AUTOCAST: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": None}


class Embedder:
    """The frozen backbone on its device, in its precision."""

    def __init__(self, backbone: Backbone, device: torch.device, precision: contract.FeaturePrecision):
        """Take a backbone that is on the device already."""
        self.backbone, self.device, self.precision = backbone, device, precision
        self.transfer = transfer_for(device)

    @classmethod
    def on_all_devices(cls, backbone: Backbone) -> list[Embedder]:
        """Put a copy of the backbone on every GPU, or the backbone itself on the CPU where there is none.

        Each computes in bfloat16 where the device does, in float16 on older GPUs, else in float32. Features that were
        computed in fewer digits are kept in them too: more would be digits of noise. On 240 photos of ten classes,
        under five seeds, the heads' best accuracy moved by one photo at most (EfficientNet-Lite0, bfloat16).

        Raises:
            JobError: the machine has GPUs that torch cannot use.
        """
        if not has_cuda():
            device = torch.device("cpu")
            return [cls(backbone, device, _precision(device))]
        # Batches of one shape come again and again, so that it pays to try cuDNN's kernels once.
        torch.backends.cudnn.benchmark = True
        devices = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
        return [cls(copy.deepcopy(backbone).to(device), device, _precision(device)) for device in devices]

    @property
    def batch_pixels(self) -> int:
        """Pixels of the batches that suit the device."""
        return BATCH_PIXELS * (_GPU_BATCHES if self.device.type == "cuda" else 1)

    def embed(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        """Return the features of uint8 pixels (N, S, S, 3): float32, (N, dim)."""
        return self.start(pixels, precision=self.precision).wait()

    def start(self, pixels: torch.Tensor, *, precision: contract.FeaturePrecision) -> Arriving:
        """Begin to compute the features of uint8 pixels (N, S, S, 3); a GPU works on while this returns."""
        # A photo with many views may be more than a batch: no more than that goes through the network at once.
        most = max(1, self.batch_pixels // pixels.shape[1] ** 2)
        with torch.inference_mode(), autocast(self.device, _AUTOCAST[precision]):
            parts = [self.backbone(part) for part in torch.split(self.transfer.send(pixels), most)]
            return self.transfer.fetch(parts[0] if len(parts) == 1 else torch.cat(parts))


def _precision(device: torch.device) -> contract.FeaturePrecision:
    if fast_bfloat16(device):
        return "bfloat16"
    return "float16" if device.type == "cuda" else "float32"


def embed_photos(
    pool: EmbedderPool,
    writer: SplitWriter,
    *,
    name: str,
    records: Sequence[contract.ImageRecord],
    positions: NDArray[np.int64],
    views: int,
    photos: Path,
    broken: BrokenImages,
    hyperparameters: contract.Hyperparameters,
    preprocessing: Preprocessing,
) -> None:
    """Embed the photos at `positions` of the records and append them to the writer, the broken ones left out.

    Decoding, the devices' work and writing go on at the same time.

    Raises:
        JobError: too many are broken.
    """
    side = hyperparameters.image_size
    size = max(1, pool.batch_pixels // (views * side**2))
    progress = _Progress(name=name, total=len(positions))

    def pictures_of(position: int) -> NDArray[np.uint8]:
        return views_of(
            records[position],
            photos=photos,
            views=views,
            hyperparameters=hyperparameters,
            preprocessing=preprocessing,
        )

    def batches() -> Iterator[PhotoBatch]:
        # threads decode ahead of the devices
        ahead = _photos_ahead(2 * size * len(pool), bytes_each=views * side**2 * 3)
        at, pixels = list[int](), pool.buffer(size, views, side, side, 3)
        for position, pictures in in_order(pictures_of, map(int, positions), ahead=ahead):
            if isinstance(pictures, ImageError):
                broken.add(records[position]["path"], pictures)
                continue
            pixels[len(at)] = torch.from_numpy(pictures)
            at.append(position)
            if len(at) == size:
                yield PhotoBatch(at, pixels)
                at, pixels = [], pool.buffer(size, views, side, side, 3)
        if at:
            yield PhotoBatch(at, pixels[: len(at)])

    for batch, features in pool.run(batches()):
        writer.add(features, records=[records[at] for at in batch.positions], positions=batch.positions)
        progress.advance(len(batch.positions))


def _photos_ahead(batches: int, *, bytes_each: int) -> int:
    """Return how many photos to decode ahead: those of some batches, or of every core twice as far as memory goes."""
    return max(batches, min(2 * cores(), _AHEAD_BYTES // bytes_each))


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
