"""Images a second on one core: from files on disk to a batch that the network takes.

* the baseline: Pillow, torchvision's first transforms on Pillow images, ToTensor, Normalize, float32 batches;
* torchvision's reference presets for training (references/classification): Pillow and v2 transforms; and the variant
  with tensors (`--backend tensor`), which decodes with torchvision;
* ours: `PhotoLoader`, without a cache and from its cache of decoded photos;
* the bound: torchvision's JPEG decoder alone.

CPU time is measured, all in one process and one thread, so that a busy neighbour does not count.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_image, decode_jpeg, read_file
from torchvision.transforms import v2

import contract
from benchmarks.baseline import BASELINE, MEAN, STD, TRAIN_TRANSFORM
from benchmarks.photos import bench_records, describe_photos
from benchmarks.result import Result, emit, speed_up
from benchmarks.timing import cpu_seconds, interleave, median
from training.data.loader import PhotoLoader
from training.runtime.machine import LoaderPlan

BATCH = 32
DECODER, OURS, CACHED = "bare decoder", "ours", "ours from the decoded cache"

PRESET_ON_TENSORS = [
    v2.RandomResizedCrop(224, antialias=True),
    v2.RandomHorizontalFlip(),
    v2.ToDtype(torch.float, scale=True),
    v2.Normalize(MEAN, STD),
    v2.ToPureTensor(),
]
PRESET = [*PRESET_ON_TENSORS[:2], v2.PILToTensor(), *PRESET_ON_TENSORS[2:]]


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """A data set as users of PyTorch write it: at each index a file is opened and transformed."""

    def __init__(self, files: list[Path], opened: Callable[[Path], object], transform: Callable[..., torch.Tensor]):
        self.files, self.opened, self.transform = files, opened, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.opened(self.files[index])), 0


def pillow(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")


def torchvision(file: Path) -> object:
    return decode_image(str(file), mode=ImageReadMode.RGB)


def data_loader(
    files: list[Path], opened: Callable[[Path], object], transform: Callable[..., torch.Tensor]
) -> Iterable[object]:
    """Return a DataLoader in this process: the clock would miss the time of worker processes."""
    return DataLoader(Photos(files, opened, transform), batch_size=BATCH, shuffle=True)


def photo_loader(root: Path, records: list[contract.ImageRecord], *, cache: Path | None) -> PhotoLoader:
    """Return our loader with one thread."""
    return PhotoLoader(
        records=records,
        root=root,
        split="train",
        hyperparameters=contract.Hyperparameters(),
        batch_size=BATCH,
        shuffle=True,
        seed=0,
        cache=cache,
        plan=LoaderPlan(threads=1, batches_ahead=1, pin_memory=False),
    )


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    root, records = bench_records(limit=96 if quick else 480)
    files = [root / record["path"] for record in records]
    preset, on_tensors = v2.Compose(PRESET), v2.Compose(PRESET_ON_TENSORS)

    with tempfile.TemporaryDirectory() as folder:
        uncached, cached = (photo_loader(root, records, cache=cache) for cache in (None, Path(folder)))
        _exhaust(cached)  # the first epoch fills the cache
        work: dict[str, Callable[[], None]] = {
            BASELINE: lambda: _exhaust(data_loader(files, pillow, TRAIN_TRANSFORM)),
            "torchvision's preset": lambda: _exhaust(data_loader(files, pillow, preset)),
            "torchvision's preset on tensors": lambda: _exhaust(data_loader(files, torchvision, on_tensors)),
            DECODER: lambda: _exhaust(decode_jpeg(read_file(str(file)), mode=ImageReadMode.RGB) for file in files),
            OURS: lambda: _exhaust(uncached),
            CACHED: lambda: _exhaust(cached),
        }
        rates = interleave(
            {name: _rate(function, images=len(files)) for name, function in work.items()}, rounds=3 if quick else 9
        )
    return _results({name: median(values) for name, values in rates.items()})


def _exhaust(batches: Iterable[object]) -> None:
    for _ in batches:
        pass


def _rate(work: Callable[[], None], *, images: int) -> Callable[[], float]:
    return lambda: images / cpu_seconds(work)


def _results(rates: dict[str, float]) -> list[Result]:
    peers = {name: rate for name, rate in rates.items() if name not in (OURS, CACHED, DECODER)}
    unit = f"images/s per core, {describe_photos()}"
    return [
        speed_up("input_pipeline", unit=unit, ours=rates[OURS], peers=peers, against=BASELINE, at_least=1.8),
        speed_up(
            "input_pipeline_cached",
            unit=f"{unit}, epochs after the first",
            ours=rates[CACHED],
            peers=peers,
            against=BASELINE,
            at_least=8,
        ),
        speed_up(
            "input_pipeline_bound",
            unit=unit,
            ours=rates[OURS],
            peers={DECODER: rates[DECODER]},
            against=DECODER,
            at_least=0.55,
        ),
    ]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
