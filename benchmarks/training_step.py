"""Images a second that a ResNet50 is trained on, from batches in memory, and with the loader attached.

* the baseline: float32, PyTorch's default memory layout, one plain loop with SGD;
* torchvision's reference script (references/classification) with its `--amp`;
* timm's loop as it is usually run: channels_last and bfloat16;
* ours: what `training.loop.finetune_loop` does in a job, in a process with the job's environment.

Each candidate is a process of its own that waits for its turn, since an allocator reads its settings when a process
starts. All get the same batches of random pixels and the same number of threads. CPU time is measured, so that a busy
neighbour does not count; on a GPU it is wall-clock time.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import torch
from torch import nn
from torch.nn import functional
from torchvision import models

import contract
from benchmarks.baseline import BASELINE
from benchmarks.photos import bench_records, describe_photos
from benchmarks.result import Result, emit, speed_up
from benchmarks.timing import interleave, median
from contract import JOB_ENVIRONMENT
from training.data.loader import Batch, PhotoLoader, on_device
from training.loop.finetune_loop import FineTuning
from training.model.backbones import Backbone, Statistics
from training.model.compute import compile_stages, micro_batch, training_precision
from training.model.head import Head
from training.model.network import Network
from training.model.stages import freeze, stages
from training.preprocess import Preprocessing
from training.runtime.distributed import Group
from training.runtime.observer import Observer

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BATCH = 128 if DEVICE.type == "cuda" else contract.Hyperparameters().batch_size
CLASSES = 100
THREADS = 1
STEPS = {"quick": 1, "full": 2}
OURS, OURS_WITH_LOADER = "ours", "ours with the loader"

Step = Callable[[], None]


def random_images() -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch of random pixels, uint8, (N, 224, 224, 3), and their labels, int64, (N,)."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (BATCH, 224, 224, 3), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, CLASSES, (BATCH,), generator=generator)


def classifier() -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = models.resnet50(weights=None, num_classes=CLASSES).to(DEVICE).train()
    return network


def floats(images: torch.Tensor) -> torch.Tensor:
    """Return a batch as the peers' pipelines give it: normalised float32, (N, 3, S, S), contiguous."""
    return ((images.permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.225).contiguous().to(DEVICE)


def baseline() -> Step:
    network = classifier()
    images, labels = random_images()
    pixels, labels = floats(images), labels.to(DEVICE)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(pixels), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()

    return step


def torchvision_script() -> Step:
    network = classifier()
    images, labels = random_images()
    pixels, labels = floats(images), labels.to(DEVICE)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    scaler = torch.amp.GradScaler(DEVICE.type, enabled=DEVICE.type == "cuda")

    def step() -> None:
        with torch.autocast(DEVICE.type):
            output = network(pixels)
            loss = functional.cross_entropy(output, labels, label_smoothing=0.1)
        optimizer.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        output.topk(5)[1].eq(labels[:, None]).float().sum().item()  # the script measures the accuracy of every step
        loss.item()

    return step


def timm_loop() -> Step:
    network = classifier().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images, labels = random_images()
    pixels, labels = floats(images).contiguous(memory_format=torch.channels_last), labels.to(DEVICE)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=2e-5)

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            loss = functional.cross_entropy(network(pixels), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def fine_tuning(loader: PhotoLoader, *, observer: Observer | None = None) -> FineTuning:
    """Return our fine-tuning as a job sets it up, but with random weights and an untrained head."""
    # a ResNet50 without its last layer, and a head in its place
    torch.manual_seed(0)
    network = models.resnet50(weights=None)
    network.fc = nn.Identity()
    half = Statistics(mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225))
    usual = Preprocessing.usual(224)
    backbone = Backbone(network=network, middle=None, statistics=half, preprocessing=usual)
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    head = Head(mean=torch.zeros(2048), scale=torch.ones(2048), classes=CLASSES)
    trained = freeze(network, until="")
    whole = Network(backbone=backbone, head=head).to(DEVICE)

    precision = training_precision(DEVICE)
    if DEVICE.type == "cuda":
        compile_stages(network, stages=stages(network), watched=[], backend="inductor")

    return FineTuning(
        whole,
        trained=trained,
        statistics=True,
        train=loader,
        validation=loader,
        hyperparameters=contract.Hyperparameters(mode="finetune", batch_size=BATCH, learning_rate=0.01, epochs=1000),
        group=Group(rank=0, size=1, device=DEVICE),
        precision=precision,
        micro_batch=micro_batch(whole, batch_size=BATCH, image_size=224, device=DEVICE, precision=precision),
        observer=observer,
    )


def photo_loader() -> PhotoLoader:
    """Return our loader of training photos."""
    root, records = bench_records(limit=10 * BATCH)
    return PhotoLoader(
        records=records,
        root=root,
        split="train",
        hyperparameters=contract.Hyperparameters(),
        batch_size=BATCH,
        shuffle=True,
        seed=0,
    )


def synthetic_batch() -> Batch:
    """Return a synthetic batch as our loader gives it, on the device."""
    images, labels = random_images()
    return Batch(images, labels, torch.ones(BATCH, dtype=torch.bool), torch.arange(BATCH)).to(DEVICE)


def ours() -> Step:
    training = fine_tuning(photo_loader())
    training.model.train()
    batch = synthetic_batch()
    return lambda: training.take_step(batch)


def ours_with_loader() -> Step:
    loader = photo_loader()
    training = fine_tuning(loader)
    training.model.train()

    def full_batches() -> Iterator[Batch]:
        for epoch in itertools.count():
            loader.set_epoch(epoch)
            yield from (batch for batch in on_device(loader, DEVICE) if len(batch.labels) == BATCH)

    batches = full_batches()
    return lambda: training.take_step(next(batches))


CANDIDATES: dict[str, Callable[[], Step]] = {
    BASELINE: baseline,
    "torchvision's script": torchvision_script,
    "timm's loop": timm_loop,
    OURS: ours,
    OURS_WITH_LOADER: ours_with_loader,
}


def serve(name: str, *, steps: int) -> None:
    """Serve a candidate from this process: for each line of input, take some steps and print the images a second."""
    torch.set_num_threads(THREADS)
    step = CANDIDATES[name]()
    step()
    print("ready", flush=True)

    clock = time.perf_counter if DEVICE.type == "cuda" else time.process_time
    for _ in sys.stdin:
        start = clock()
        for _ in range(steps):
            step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        print(steps * BATCH / (clock() - start), flush=True)


class Candidate:
    """A candidate's process, as the benchmark sees it."""

    def __init__(self, name: str, *, steps: int):
        settings = JOB_ENVIRONMENT if name in (OURS, OURS_WITH_LOADER) else {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training_step", "--serve", name, str(steps)],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": str(THREADS), **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._until("ready")

    def measure(self) -> float:
        _pipe(self._process.stdin).write("go\n")
        _pipe(self._process.stdin).flush()
        return float(_pipe(self._process.stdout).readline())

    def end(self) -> None:
        _pipe(self._process.stdin).close()
        self._process.wait()

    def _until(self, line: str) -> None:
        for said in _pipe(self._process.stdout):
            if said.strip() == line:
                return
        raise RuntimeError(f"a candidate's process ended with status {self._process.wait()} before it was ready")


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the process was started without pipes")
    return pipe


def run(*, quick: bool) -> list[Result]:
    steps = STEPS["quick" if quick else "full"]
    candidates = {name: Candidate(name, steps=steps) for name in CANDIDATES}
    try:
        measured = interleave(
            {name: candidate.measure for name, candidate in candidates.items()}, rounds=2 if quick else 7
        )
    finally:
        for candidate in candidates.values():
            candidate.end()

    rates = {name: median(values) for name, values in measured.items()}
    unit = f"images/s, ResNet50, batch {BATCH}, {'one GPU' if DEVICE.type == 'cuda' else 'one core'}"
    synthetic = "the same on synthetic data"
    return [
        speed_up(
            "training_step",
            unit=unit,
            ours=rates[OURS],
            peers={name: rate for name, rate in rates.items() if name not in (OURS, OURS_WITH_LOADER)},
            against=BASELINE,
            at_least=2.5,
        ),
        speed_up(
            "training_loader",
            unit=f"{unit}, {describe_photos()}",
            ours=rates[OURS_WITH_LOADER],
            peers={synthetic: rates[OURS]},
            against=synthetic,
            at_least=0.95,
        ),
    ]


if __name__ == "__main__":
    if "--serve" in sys.argv:
        serve(sys.argv[-2], steps=int(sys.argv[-1]))
    else:
        emit(run(quick="--quick" in sys.argv))
