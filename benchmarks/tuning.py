"""Eight trials of five epochs: the baseline's, which put every photo through the network in every epoch, and ours.

The CPU time is that of ResNet-50 with 224-pixel photos on one core. The baseline's epoch and our embedding are measured
on some photos and scaled up to the data set, since both do the same work for each photo; our trials are measured whole.
The accuracy is that of EfficientNet-Lite0, whose pretrained weights come as a package (`tuning_accuracy.py`).
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchvision import models

from benchmarks.baseline import (
    BASELINE,
    TRAIN_TRANSFORM,
    VALIDATION_TRANSFORM,
    BaselinePhotos,
    train_epoch,
    validate,
)
from benchmarks.photos import bench_records, describe_photos
from benchmarks.result import Result, emit
from benchmarks.timing import cpu_seconds, interleave, median
from benchmarks.tuning_accuracy import (
    CPU,
    EPOCHS,
    TRIALS,
    VIEWS,
    Records,
    best_accuracies,
    best_of_trials,
    embed,
    of_records,
)
from contract import FeaturePrecision
from training.embedding.embedder import Embedder
from training.model.compute import fast_bfloat16
from training.model.weights import untrained_backbone

DIM, CLASSES = 2048, 10
"""Of ResNet-50's features, and of the last layer that is trained on them."""


@dataclass(frozen=True)
class Costs:
    """CPU seconds."""

    baseline_epoch: float
    """One epoch of one trial of the baseline, its validation included."""
    embedding: float
    """Our features, computed once for all trials."""
    epoch: float
    """One epoch of one trial of ours, its validation included."""

    def baseline(self, *, trials: int, epochs: int) -> float:
        return self.baseline_epoch * trials * epochs

    def ours(self, *, trials: int, epochs: int) -> float:
        return self.embedding + self.epoch * trials * epochs

    def ratio(self, *, trials: int, epochs: int) -> float:
        return self.baseline(trials=trials, epochs=epochs) / self.ours(trials=trials, epochs=epochs)


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    root, records = bench_records(limit=150 if quick else None)
    train, validation = ([record for record in records if record["split"] == part] for part in ("train", "validation"))

    sample, rounds = (16, 1) if quick else (64, 5)
    plain, with_views = (
        _costs(root, train, validation, views=views, sample=sample, rounds=rounds) for views in (0, VIEWS)
    )
    accuracies = [best_accuracies(root, train, validation, seed=seed) for seed in range(1 if quick else 3)]
    reached = {name: [best[name] for best in accuracies] for name in accuracies[0]}

    return [
        _result("tuning", plain, goal=30, ours=reached["plain"], baseline=reached["baseline"]),
        _result("tuning_views", with_views, goal=15, ours=reached["views"], baseline=reached["baseline"]),
        _growth(plain),
    ]


def _result(name: str, costs: Costs, *, goal: int, ours: list[float], baseline: list[float]) -> Result:
    ratio = costs.ratio(trials=TRIALS, epochs=EPOCHS)
    reached = f"best validation accuracy {_spread(ours)}, {BASELINE} {_spread(baseline)}"
    return Result(
        name=name,
        unit=f"CPU seconds for {TRIALS} trials of {EPOCHS} epochs, {describe_photos()}; {reached}",
        ours=costs.ours(trials=TRIALS, epochs=EPOCHS),
        peers={BASELINE: costs.baseline(trials=TRIALS, epochs=EPOCHS)},
        ratio=ratio,
        against=BASELINE,
        goal=f"at least {goal}, at equal or better accuracy",
        holds=ratio >= goal and statistics.mean(ours) >= statistics.mean(baseline) - 1e-6,
    )


def _growth(costs: Costs) -> Result:
    """The ratio for more and more trials and epochs, over which our features are shared."""
    sizes = ((2, 5), (TRIALS, EPOCHS), (8, 20), (32, 20))
    ratios = [costs.ratio(trials=trials, epochs=epochs) for trials, epochs in sizes]
    return Result(
        name="tuning_growth",
        unit=f"times {BASELINE}, by trials x epochs",
        ours=ratios[-1],
        peers={f"{trials} x {epochs}": ratio for (trials, epochs), ratio in zip(sizes, ratios, strict=True)},
        ratio=ratios[-1] / ratios[0],
        against="2 x 5",
        goal="growing",
        holds=ratios == sorted(ratios),
    )


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f}, {len(values)} seeds)"


def _costs(root: Path, train: Records, validation: Records, *, views: int, sample: int, rounds: int) -> Costs:
    # the baseline: the whole network, of which the last layer is trained
    network = models.resnet50(weights=None).requires_grad_(False)
    network.fc = nn.Linear(DIM, CLASSES)
    optimizer = torch.optim.Adam(network.fc.parameters(), lr=0.01)
    some = train[:sample]
    to_train, to_validate = (
        BaselinePhotos(root, some, transform) for transform in (TRAIN_TRANSFORM, VALIDATION_TRANSFORM)
    )

    # ours: an embedder, and trials on features of the same shape as its own
    precision: FeaturePrecision = "bfloat16" if fast_bfloat16(CPU) else "float32"
    embedder = Embedder(untrained_backbone("resnet50", image_size=224), CPU, precision)
    dim = sum(embedder.backbone.level_sizes(image_size=224))
    rng = np.random.default_rng(0)
    random_train, random_validation = (
        of_records(rng.normal(size=(views_of_each, len(part), dim)).astype(np.float32), part)
        for part, views_of_each in ((train, 1 + views), (validation, 1))
    )

    def trial() -> float:
        return best_of_trials(random_train, random_validation, levels=[dim], classes=CLASSES, seed=0, trials=1)

    measured = interleave(
        {
            "baseline training": lambda: cpu_seconds(
                lambda: train_epoch(network, to_train, optimizer=optimizer, batch_size=32)
            ),
            "baseline validation": lambda: cpu_seconds(lambda: validate(network, to_validate, batch_size=32)),
            "embedding": lambda: cpu_seconds(lambda: embed(embedder, root, some, views=views)),
            "plain embedding": lambda: cpu_seconds(lambda: embed(embedder, root, some, views=0)),
            "trial": lambda: cpu_seconds(trial),
        },
        rounds=rounds,
    )
    cost = {name: median(values) for name, values in measured.items()}
    baseline = cost["baseline training"] * len(train) + cost["baseline validation"] * len(validation)
    embedding = cost["embedding"] * len(train) + cost["plain embedding"] * len(validation)
    return Costs(baseline_epoch=baseline / len(some), embedding=embedding / len(some), epoch=cost["trial"] / EPOCHS)


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
