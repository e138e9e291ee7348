"""Time and peak memory of the features job and of a trial on 1,000, 10,000 and 100,000 photos.

The jobs are the real ones, each in a process of its own. Only the network is replaced by one that gives 1280 numbers a
view at no cost, and the photos are small ones, hard-linked as often as needed. What remains is what could grow: the
manifest, decoding, queues, and the arrays, written and read.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

import contract
from benchmarks.result import Result, emit

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (300, 1_000, 3_000)
SIDE, DIM, CLASSES, DISTINCT = 32, 1280, 10, 50
HYPERPARAMETERS = contract.Hyperparameters(image_size=SIDE, epochs=2, batch_size=256)


@dataclass(frozen=True)
class Cost:
    """What a job took."""

    peak_bytes: int
    seconds: float
    """CPU time."""


def run(*, quick: bool) -> list[Result]:
    sizes = QUICK_SIZES if quick else SIZES
    costs = {size: _costs(size) for size in sizes}
    middle, largest = sizes[-2:]

    peaks = {job: {size: costs[size][job].peak_bytes / 2**20 for size in sizes} for job in ("features", "trial")}
    growth = max(peak[largest] / peak[middle] for peak in peaks.values())
    features = {size: costs[size]["features"].seconds for size in sizes}
    trial = {size: costs[size]["trial"].seconds for size in sizes}
    rate = {size: size / features[size] for size in sizes}
    return [
        Result(
            name="memory_growth",
            unit=f"MiB at the peak of the features job, {largest:,} photos, {1 + HYPERPARAMETERS.views} views each",
            ours=peaks["features"][largest],
            peers={f"{job}, {size:,} photos": peak for job in peaks for size, peak in peaks[job].items()},
            ratio=growth,
            against=f"{middle:,} photos, the worse of both jobs",
            goal="at most 1.5",
            holds=growth <= 1.5,
        ),
        Result(
            name="scaling",
            unit=f"photos per CPU second of the features job without its network, {largest:,} photos",
            ours=rate[largest],
            peers={
                **{f"{size:,} photos, features job, CPU s": seconds for size, seconds in features.items()},
                **{f"{size:,} photos, trial, CPU s": seconds for size, seconds in trial.items()},
            },
            ratio=rate[largest] / rate[middle],
            against=f"{middle:,} photos",
            goal="at least 0.8: time grows with the photos and no faster",
            holds=rate[largest] >= 0.8 * rate[middle],
        ),
    ]


def _costs(size: int) -> dict[str, Cost]:
    with tempfile.TemporaryDirectory(prefix="whippet-bench-") as folder:
        _fill(Path(folder), size)
        return {job: _run_job(job, Path(folder)) for job in ("features", "trial")}


def _fill(folder: Path, size: int) -> None:
    """Write a data set of photos and its manifest, as the jobs find them."""
    # a few photos, to which all others are links
    for number in range(DISTINCT):
        pixels = np.random.default_rng(number).integers(0, 255, size=(40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photo-{number}.jpg", quality=85)
    for label in range(CLASSES):
        (folder / "dataset" / f"class-{label}").mkdir(parents=True)

    # the manifest: eight photos of ten for training, one each for validation and test
    (folder / "manifest").mkdir()
    splits: tuple[contract.SplitName, ...] = ("train",) * 8 + ("validation", "test")
    with (folder / "manifest" / contract.Artefact.MANIFEST).open("w", encoding="utf-8") as manifest:
        for number in range(size):
            path = f"class-{number % CLASSES}/{number:08}.jpg"
            os.link(folder / f"photo-{number % DISTINCT}.jpg", folder / "dataset" / path)
            record: contract.ImageRecord = {
                "path": path,
                "label": number % CLASSES,
                "split": splits[number // CLASSES % len(splits)],
                "etag": f"{number:032x}",
            }
            manifest.write(json.dumps(record) + "\n")
    summary = {"classes": [{"name": f"class-{label}"} for label in range(CLASSES)]}
    (folder / "manifest" / contract.Artefact.DATASET_SUMMARY).write_text(json.dumps(summary), encoding="utf-8")


def _run_job(job: str, folder: Path) -> Cost:
    channels = {"features": ("dataset", "manifest"), "trial": ("features",)}[job]
    variables = {f"SM_CHANNEL_{channel.upper()}": str(folder / channel) for channel in channels}
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory_growth", "--job", job],
        env={
            **os.environ,
            **variables,
            "SM_HPS": json.dumps(HYPERPARAMETERS.to_strings()),
            "SM_MODEL_DIR": str(folder / ("features" if job == "features" else "model")),
            "TRAINING_JOB_NAME": "bench",
            "OMP_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Cost(**json.loads(ended.stdout.strip().splitlines()[-1]))


def _job(name: str) -> None:
    """Run a job in this process and print its `Cost`."""
    # Imported here, since the process that starts the jobs needs none of it.
    import torch

    from training import features, trial
    from training.model.backbones import Backbone, Statistics
    from training.preprocess import Preprocessing

    class FastNetwork(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixing = torch.nn.Linear(3 * 4 * 4, DIM)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            mixed: torch.Tensor = self.mixing(torch.nn.functional.adaptive_avg_pool2d(pixels, 4).flatten(1))
            return mixed

    torch.manual_seed(0)
    statistics = Statistics(mean=(0.5,) * 3, std=(0.5,) * 3)
    network = FastNetwork().eval().requires_grad_(False)
    usual = Preprocessing.usual(32)
    backbone = Backbone(network=network, middle=None, statistics=statistics, preprocessing=usual)

    start = time.process_time()
    with patch("training.features.load_backbone", lambda _, **__: (backbone, "none")):
        {"features": features.main, "trial": trial.main}[name]()
    seconds = time.process_time() - start
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"peak_bytes": int(status["VmHWM"].split()[0]) * 1024, "seconds": seconds}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--job", choices=("features", "trial"))
    arguments = parser.parse_args()
    if arguments.job:
        _job(arguments.job)
    else:
        emit(run(quick=arguments.quick))
