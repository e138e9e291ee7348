"""Entry point of the features job: run the frozen backbone once over every photo and keep what it says.

Heads are then tuned and trained on these features in seconds. Every training photo is also embedded in `views`
augmented versions; the validation and test photos only as they are.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training import contract, environment, preprocess
from training.backbones import Backbone
from training.dataset import BrokenImages, decode_workers, in_order, read_manifest, read_photo
from training.environment import JobError
from training.feature_store import SplitWriter, write_index
from training.preprocess import ImageError
from training.weights import load_backbone

BATCH_PIXELS = 64 * 224 * 224
"""Pixels the backbone sees at once: large enough to keep a CPU's cores busy, small enough for a small machine."""


def main() -> None:
    """Embed the validation, test and training photos and write them to the model folder."""
    hyperparameters = environment.hyperparameters()
    manifest = read_manifest(environment.channel(contract.Channel.MANIFEST))
    photos = environment.channel(contract.Channel.DATASET)
    folder = environment.model_dir()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone, weights = load_backbone(hyperparameters.backbone, image_size=hyperparameters.image_size)
    backbone = backbone.to(device)
    levels = _levels(backbone, image_size=hyperparameters.image_size, device=device)
    print(
        f"features: {hyperparameters.backbone}, {sum(levels)} numbers a photo, on {device.type}"
        f"{' in bfloat16' if fast_bfloat16(device) else ''}, {decode_workers()} decoding threads",
        flush=True,
    )

    broken = BrokenImages(total=sum(len(records) for records in manifest.records.values()))
    counts: dict[contract.SplitName, int] = {}
    views: dict[contract.SplitName, int] = {}
    splits: tuple[contract.SplitName, ...] = ("validation", "test", "train")
    for split in splits:
        views[split] = 1 + hyperparameters.views if split == "train" else 1
        counts[split] = _embed_split(
            backbone,
            split=split,
            records=manifest.records[split],
            views=views[split],
            dim=sum(levels),
            photos=photos,
            folder=folder,
            broken=broken,
            hyperparameters=hyperparameters,
            device=device,
        )
    write_index(
        folder,
        {
            "key": os.environ.get(contract.JobVariable.FEATURES_KEY, ""),
            "backbone": hyperparameters.backbone,
            "image_size": hyperparameters.image_size,
            "dim": sum(levels),
            "levels": levels,
            "classes": manifest.classes,
            "counts": counts,
            "views": views,
            "broken": broken.paths,
            "weights": weights,
            "files": [],
        },
    )
    print(f"features done: {sum(counts.values())} photos, {len(broken.paths)} left out", flush=True)


def _embed_split(
    backbone: Backbone,
    *,
    split: contract.SplitName,
    records: list[contract.ImageRecord],
    views: int,
    dim: int,
    photos: Path,
    folder: Path,
    broken: BrokenImages,
    hyperparameters: contract.Hyperparameters,
    device: torch.device,
) -> int:
    """Embed one split; returns how many of its photos could be read."""
    batch_images = max(1, BATCH_PIXELS // (views * hyperparameters.image_size**2))
    writer = SplitWriter(folder, split=split, views=views, images=len(records), dim=dim)
    progress = _Progress(name=f"features of {split}", total=len(records))
    work = partial(_views_of, photos=photos, views=views, hyperparameters=hyperparameters)
    batch: list[tuple[contract.ImageRecord, NDArray[np.uint8]]] = []

    def flush() -> None:
        if not batch:
            return
        pixels = np.stack([pictures for _, pictures in batch], axis=1)  # (views, batch, S, S, 3)
        features = _embed(backbone, torch.from_numpy(pixels).flatten(0, 1), device=device)
        writer.add(
            features.reshape(views, len(batch), dim),
            labels=[record["label"] for record, _ in batch],
            paths=[record["path"] for record, _ in batch],
        )
        progress.advance(len(batch))
        batch.clear()

    for record, pictures in in_order(work, records, ahead=2 * batch_images):
        if isinstance(pictures, ImageError):
            broken.add(record["path"], pictures)
            continue
        batch.append((record, pictures))
        if len(batch) == batch_images:
            flush()
    flush()
    count = writer.close()
    if count == 0:
        raise JobError(f"none of the {len(records)} {split} photos could be read; replace them and start again")
    return count


def _views_of(
    record: contract.ImageRecord, *, photos: Path, views: int, hyperparameters: contract.Hyperparameters
) -> NDArray[np.uint8]:
    """All views of one photo, the plain one first: uint8, (views, S, S, 3)."""
    size = hyperparameters.image_size
    resize = preprocess.resize_for(size)
    image = preprocess.decode(read_photo(photos, record["path"]), shorter_side=resize)
    pictures = [preprocess.center_crop(image, image_size=size, resize=resize)]
    for view in range(1, views):
        seed = f"{hyperparameters.seed}/{record['path']}/{view}"
        pictures.append(preprocess.augmented_view(image, image_size=size, flip=hyperparameters.flip, seed=seed))
    return np.stack(pictures)


def _embed(backbone: Backbone, pixels: torch.Tensor, *, device: torch.device) -> NDArray[np.float32]:
    """Features of a batch: float32, (N, dim)."""
    with torch.inference_mode(), _precision(device):
        features: NDArray[np.float32] = backbone(pixels.to(device, non_blocking=True)).float().cpu().numpy()
    return features


def _levels(backbone: Backbone, *, image_size: int, device: torch.device) -> list[int]:
    blank = torch.zeros(1, image_size, image_size, 3, dtype=torch.uint8, device=device)
    with torch.inference_mode():
        return [level.shape[1] for level in backbone.levels(blank)]


def _precision(device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, torch.bfloat16) if fast_bfloat16(device) else nullcontext()


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16: 2 to 5 times as fast there, slower than float32 where it is emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16", "sve_bf16"))


class _Progress:
    """Prints how far a split is, at most every five seconds and at its end."""

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
            f"{self._name}: {self._done}/{self._total} photos, {rate:.0f} a second, "
            f"{max(self._total - self._done, 0) / rate:.0f} s to go",
            flush=True,
        )


if __name__ == "__main__":
    environment.run_job(main)
