"""Eight trials of five epochs: the seed's way, every photo decoded and put through the network in every epoch of every
trial, and ours, once for all.

Time is CPU time on one core of ResNet-50 with 224-pixel photos. The seed's epoch and our embedding are measured on some
photos and counted up linearly to the data set: both do the same work for each photo. Our trials are measured whole.
Accuracy is that of EfficientNet-Lite0, whose pretrained weights come as a package: the best of eight trials on the
validation photos, for each of the seeds. The seed's heads are trained on its own random crops, a fresh one each epoch,
with batch norm in eval mode, which favours it.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision import models

import contract
from benchmarks.photos import bench_records, describe_photos
from benchmarks.result import Result, emit
from benchmarks.seed_way import TRAIN_TRANSFORM, VALIDATION_TRANSFORM, SeedPhotos, train_epoch, validate
from benchmarks.timing import interleave, median
from training.embedding.embedder import Embedder, views_of
from training.embedding.store import SplitFeatures
from training.loop.head_loop import fit
from training.model.backbones import architecture, split
from training.model.compute import fast_bfloat16
from training.model.head import new_head
from training.model.weights import load_backbone

TRIALS, EPOCHS, VIEWS = 8, 5, 4
CPU = torch.device("cpu")
Records = list[contract.ImageRecord]


@dataclass(frozen=True)
class Costs:
    """CPU seconds."""

    seed_epoch: float
    """The seed's way: one epoch of one trial, its validation included."""
    embedding: float
    """Ours, once."""
    epoch: float
    """Ours: one epoch of one trial, its validation included."""

    def ratio(self, *, trials: int, epochs: int) -> float:
        return self.seed_epoch * trials * epochs / (self.embedding + self.epoch * trials * epochs)


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    root, records = bench_records(limit=150 if quick else None)
    train, validation = ([record for record in records if record["split"] == part] for part in ("train", "validation"))
    seeds = range(1 if quick else 3)
    costs = {
        views: _costs(root, train, validation, views=views, sample=16 if quick else 64, rounds=1 if quick else 5)
        for views in (0, VIEWS)
    }
    accuracy: dict[str, list[float]] = {way: [] for way in ("seed", "plain", "views")}
    for seed in seeds:
        for way, best in _accuracies(root, train, validation, seed=seed).items():
            accuracy[way].append(best)
    return [
        _result("tuning", costs[0], goal=30, ours=accuracy["plain"], seeds_way=accuracy["seed"]),
        _result("tuning_views", costs[VIEWS], goal=15, ours=accuracy["views"], seeds_way=accuracy["seed"]),
        *_growth(costs[0]),
    ]


def _result(name: str, costs: Costs, *, goal: int, ours: list[float], seeds_way: list[float]) -> Result:
    ratio = costs.ratio(trials=TRIALS, epochs=EPOCHS)
    reached = f"best validation accuracy {_spread(ours)}, the seed's way {_spread(seeds_way)}"
    return Result(
        name=name,
        unit=f"CPU seconds for {TRIALS} trials of {EPOCHS} epochs, {describe_photos()}; {reached}",
        ours=costs.embedding + costs.epoch * TRIALS * EPOCHS,
        peers={"the seed's way": costs.seed_epoch * TRIALS * EPOCHS},
        ratio=ratio,
        against="the seed's way",
        goal=f"at least {goal}, at equal or better accuracy",
        holds=ratio >= goal and statistics.mean(ours) >= statistics.mean(seeds_way) - 1e-6,
    )


def _growth(costs: Costs) -> list[Result]:
    """The more trials and epochs, the more is saved."""
    sizes = ((2, 5), (TRIALS, EPOCHS), (8, 20), (32, 20))
    ratios = [costs.ratio(trials=trials, epochs=epochs) for trials, epochs in sizes]
    return [
        Result(
            name="tuning_growth",
            unit="times the seed's way, by trials x epochs",
            ours=ratios[-1],
            peers={f"{trials} x {epochs}": ratio for (trials, epochs), ratio in zip(sizes, ratios, strict=True)},
            ratio=ratios[-1] / ratios[0],
            against="2 x 5",
            goal="growing",
            holds=ratios == sorted(ratios),
        )
    ]


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f}, {len(values)} seeds)"


def _costs(root: Path, train: Records, validation: Records, *, views: int, sample: int, rounds: int) -> Costs:
    network = models.resnet50(weights=None).requires_grad_(False)
    network.fc = nn.Linear(2048, 10)
    optimizer = torch.optim.Adam(network.fc.parameters(), lr=0.01)
    blank, statistics_ = architecture("resnet50")
    precision: contract.FeaturePrecision = "bfloat16" if fast_bfloat16(CPU) else "float32"
    embedder = Embedder(split(blank, name="resnet50", image_size=224, statistics=statistics_), CPU, precision)
    some = train[:sample]
    seed_train, seed_validation = SeedPhotos(root, some, TRAIN_TRANSFORM), SeedPhotos(root, some, VALIDATION_TRANSFORM)
    dim = sum(embedder.backbone.level_sizes(image_size=224))
    rng = np.random.default_rng(0)
    made_up = [_made_up(part, views=of, dim=dim, rng=rng) for part, of in ((train, 1 + views), (validation, 1))]

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    measured = interleave(
        {
            "seed train": lambda: seconds(lambda: train_epoch(network, seed_train, optimizer=optimizer, batch_size=32)),
            "seed validation": lambda: seconds(lambda: validate(network, seed_validation, batch_size=32)),
            "embedding": lambda: seconds(lambda: _embed(embedder, root, some, views=views)),
            "plain embedding": lambda: seconds(lambda: _embed(embedder, root, some, views=0)),
            "trial": lambda: seconds(lambda: _best(*made_up, levels=[dim], classes=10, seed=0, trials=1)),
        },
        rounds=rounds,
    )
    cost = {name: median(values) for name, values in measured.items()}
    return Costs(
        seed_epoch=(cost["seed train"] * len(train) + cost["seed validation"] * len(validation)) / len(some),
        embedding=(cost["embedding"] * len(train) + cost["plain embedding"] * len(validation)) / len(some),
        epoch=cost["trial"] / EPOCHS,
    )


def _embed(embedder: Embedder, root: Path, records: Records, *, views: int, seed: int = 0) -> NDArray[np.float32]:
    """(views, images, dim), as the features job makes them."""
    hyperparameters = contract.Hyperparameters(views=views, seed=seed)
    parts = []
    for start in range(0, len(records), 16):
        pixels = np.stack(
            [
                views_of(record, photos=root, views=1 + views, hyperparameters=hyperparameters)
                for record in records[start : start + 16]
            ]
        )
        features = embedder.embed(torch.from_numpy(pixels).flatten(0, 1))
        parts.append(features.reshape(len(pixels), 1 + views, -1))
    return np.ascontiguousarray(np.concatenate(parts).transpose(1, 0, 2))


def _made_up(records: Records, *, views: int, dim: int, rng: np.random.Generator) -> SplitFeatures:
    features = rng.normal(size=(views, len(records), dim)).astype(np.float32)
    return _features(features, records)


def _features(features: NDArray[np.float32], records: Records) -> SplitFeatures:
    return SplitFeatures(
        features=features,
        labels=np.array([record["label"] for record in records], dtype=np.int64),
        paths=[record["path"] for record in records],
    )


def _search_space(seed: int, trials: int) -> list[tuple[float, int]]:
    """The same trials for both ways: learning rates on a logarithmic scale, and batch sizes."""
    rng = np.random.default_rng([seed, 77])
    return [(float(10 ** rng.uniform(-3, -1)), int(rng.choice(contract.BATCH_SIZES))) for _ in range(trials)]


def _best(
    train: SplitFeatures, validation: SplitFeatures, *, levels: list[int], classes: int, seed: int, trials: int = TRIALS
) -> float:
    """Ours: the best validation accuracy of the trials."""
    best = 0.0
    for rate, size in _search_space(seed, trials):
        values = contract.Hyperparameters(epochs=EPOCHS, learning_rate=rate, batch_size=size, seed=seed)
        head = new_head(train.features, levels=levels, classes=classes)
        for epoch in fit(head, train=train, validation=validation, hyperparameters=values):
            best = max(best, epoch.validation.accuracy)
    return best


def _seeds_best(
    epochs: NDArray[np.float32], labels: torch.Tensor, held_out: torch.Tensor, truth: torch.Tensor, *, seed: int
) -> float:
    """The seed's way: a linear layer on what the network ends in, Adam, a new random crop each epoch."""
    torch.manual_seed(seed)
    best = 0.0
    for rate, size in _search_space(seed, TRIALS):
        head = nn.Linear(epochs.shape[2], int(labels.max()) + 1)
        optimizer = torch.optim.Adam(head.parameters(), lr=rate)
        for seen in torch.from_numpy(epochs):
            for picked in torch.split(torch.randperm(len(labels)), size):
                optimizer.zero_grad()
                nn.functional.cross_entropy(head(seen[picked]), labels[picked]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            with torch.no_grad():
                best = max(best, float((head(held_out).argmax(dim=1) == truth).float().mean()))
    return best


def _accuracies(root: Path, train: Records, validation: Records, *, seed: int) -> dict[str, float]:
    """Best validation accuracy of eight trials: the seed's way, ours on the plain crop, ours with four views."""
    backbone, _ = load_backbone("efficientnet_lite0", image_size=224)
    embedder = Embedder(backbone, CPU, "float32")
    levels = embedder.backbone.level_sizes(image_size=224)
    classes = 1 + max(record["label"] for record in train)
    with_views = _embed(embedder, root, train, views=VIEWS, seed=seed)
    held_out = _features(_embed(embedder, root, validation, views=0), validation)
    torch.manual_seed(seed)
    crops = np.stack([_seeds_crops(backbone, root, train) for _ in range(EPOCHS)])
    last = slice(levels[0], None) if len(levels) > 1 else slice(None)
    return {
        "seed": _seeds_best(
            crops[:, :, last],
            torch.tensor([record["label"] for record in train]),
            torch.from_numpy(np.ascontiguousarray(np.asarray(held_out.features[0])[:, last])),
            torch.from_numpy(held_out.labels),
            seed=seed,
        ),
        "plain": _best(_features(with_views[:1], train), held_out, levels=levels, classes=classes, seed=seed),
        "views": _best(_features(with_views, train), held_out, levels=levels, classes=classes, seed=seed),
    }


@torch.inference_mode()
def _seeds_crops(backbone: nn.Module, root: Path, records: Records) -> NDArray[np.float32]:
    """Features of one random crop of each photo, by the seed's transform: (images, dim)."""
    crops = SeedPhotos(root, records, TRAIN_TRANSFORM)
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    parts = []
    for start in range(0, len(records), 32):
        normalised = torch.stack([crops[at][0] for at in range(start, min(start + 32, len(records)))])
        pixels = (normalised.permute(0, 2, 3, 1) * std + mean) * 255  # our backbone normalises by itself
        parts.append(backbone(pixels.round().to(torch.uint8)).numpy())
    return np.concatenate(parts)


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
