"""Images a second on one core: from files on disk to a batch the network takes.

* the seed's way: Pillow, torchvision's first transforms on Pillow images, ToTensor, Normalize, float32 batches;
* torchvision's reference presets for training (references/classification): Pillow, v2 transforms; and the variant
  with tensors (`--backend tensor`), decoding with torchvision;
* ours: `PhotoLoader`, uncached and from its cache of decoded photos;
* the bound: torchvision's bare JPEG decoder, and nothing else.

CPU time is measured, all in one process and one thread, so that a busy neighbour does not count.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as v1
from torchvision.io import ImageReadMode, decode_image, decode_jpeg, read_file
from torchvision.transforms import v2

import contract
from benchmarks.photos import bench_records, describe_photos
from benchmarks.result import Result, emit
from benchmarks.timing import interleave, median
from training.data.loader import PhotoLoader
from training.runtime.machine import LoaderPlan

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 32
UNIT = "images/s per core"


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """What a torch user writes: a file opened, transformed and labelled at each index."""

    def __init__(self, files: list[Path], opened: Callable[[Path], object], transform: Callable[..., torch.Tensor]):
        self.files, self.opened, self.transform = files, opened, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.opened(self.files[index])), 0


def pillow(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")


def loaded(
    files: list[Path], opened: Callable[[Path], object], transform: Callable[..., torch.Tensor]
) -> Iterable[object]:
    """Through a DataLoader in this process: worker processes would escape the clock."""
    return DataLoader(Photos(files, opened, transform), batch_size=BATCH, shuffle=True)


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    root, records = bench_records(limit=96 if quick else 480)
    files = [root / record["path"] for record in records]
    seed = v1.Compose([v1.RandomResizedCrop(224), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(MEAN, STD)])
    reference = v2.Compose(
        [
            v2.RandomResizedCrop(224, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(MEAN, STD),
            v2.ToPureTensor(),
        ]
    )
    on_tensors = v2.Compose(
        [
            v2.RandomResizedCrop(224, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(MEAN, STD),
            v2.ToPureTensor(),
        ]
    )

    def bare() -> None:
        for file in files:
            decode_jpeg(read_file(str(file)), mode=ImageReadMode.RGB)

    with tempfile.TemporaryDirectory() as folder:

        def ours(cache: Path | None) -> PhotoLoader:
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

        uncached, cached = ours(None), ours(Path(folder))
        all(True for _ in cached)  # fills it

        def walk(batches: Iterable[object]) -> None:
            for _ in batches:
                pass

        def decoded(file: Path) -> object:
            return decode_image(str(file), mode=ImageReadMode.RGB)

        work: dict[str, Callable[[], None]] = {
            "the seed's way": lambda: walk(loaded(files, pillow, seed)),
            "torchvision's preset": lambda: walk(loaded(files, pillow, reference)),
            "torchvision's preset on tensors": lambda: walk(loaded(files, decoded, on_tensors)),
            "bare decoder": bare,
            "ours": lambda: walk(uncached),
            "ours from the decoded cache": lambda: walk(cached),
        }
        rates = interleave(
            {name: _rate(function, images=len(files)) for name, function in work.items()}, rounds=3 if quick else 9
        )
    return _results({name: median(values) for name, values in rates.items()})


def _rate(work: Callable[[], None], *, images: int) -> Callable[[], float]:
    def measured() -> float:
        start = time.process_time()
        work()
        return images / (time.process_time() - start)

    return measured


def _results(rates: dict[str, float]) -> list[Result]:
    seed, bound = rates["the seed's way"], rates["bare decoder"]
    ours, cached = rates["ours"], rates["ours from the decoded cache"]
    peers = {name: rate for name, rate in rates.items() if not name.startswith(("ours", "bare"))}
    photos = describe_photos()
    return [
        Result(
            name="input_pipeline",
            unit=f"{UNIT}, {photos}",
            ours=ours,
            peers=peers,
            ratio=ours / seed,
            against="the seed's way",
            goal="at least 1.8",
            holds=ours >= 1.8 * seed,
        ),
        Result(
            name="input_pipeline_cached",
            unit=f"{UNIT}, {photos}, epochs after the first",
            ours=cached,
            peers=peers,
            ratio=cached / seed,
            against="the seed's way",
            goal="at least 8",
            holds=cached >= 8 * seed,
        ),
        Result(
            name="input_pipeline_bound",
            unit=f"{UNIT}, {photos}",
            ours=ours,
            peers={"bare decoder": bound},
            ratio=ours / bound,
            against="bare decoder",
            goal="at least 0.55",
            holds=ours >= 0.55 * bound,
        ),
    ]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
