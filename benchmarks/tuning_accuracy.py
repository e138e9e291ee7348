"""The best validation accuracy of a tuning's trials: the baseline's heads, and ours with and without views.

The baseline's heads are trained on its own random crops, a new one in each epoch, with batch norm in eval mode, which
is in its favour.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import contract
from benchmarks.baseline import MEAN, STD, TRAIN_TRANSFORM, BaselinePhotos
from training.embedding.embedder import Embedder, views_of
from training.embedding.store import SplitFeatures
from training.loop.head_loop import fit
from training.model.head import new_head
from training.model.weights import load_backbone

__all__ = [
    "CPU",
    "EPOCHS",
    "TRIALS",
    "VIEWS",
    "Records",
    "best_accuracies",
    "best_of_trials",
    "embed",
    "of_records",
    "values_of_trials",
]

TRIALS, EPOCHS, VIEWS = 8, 5, 4
CPU = torch.device("cpu")
Records = list[contract.ImageRecord]


def best_accuracies(root: Path, train: Records, validation: Records, *, seed: int) -> dict[str, float]:
    """Return the best validation accuracy of `TRIALS` trials: `baseline`, ours `plain`, and ours with `views`."""
    backbone, _ = load_backbone("efficientnet_lite0", image_size=224)
    embedder = Embedder(backbone, CPU, "float32")
    levels = embedder.backbone.level_sizes(image_size=224)
    classes = 1 + max(record["label"] for record in train)

    # the same network's features: of our views, and of the baseline's crops
    with_views = embed(embedder, root, train, views=VIEWS, seed=seed)
    held_out = of_records(embed(embedder, root, validation, views=0), validation)
    torch.manual_seed(seed)
    crops = np.stack([_baseline_crops(backbone, root, train) for _ in range(EPOCHS)])

    # The baseline's head stands on the network's last level only.
    last = slice(levels[0], None) if len(levels) > 1 else slice(None)
    plain, views = (of_records(features, train) for features in (with_views[:1], with_views))
    return {
        "baseline": _baseline_best_of_trials(
            crops[:, :, last],
            torch.tensor([record["label"] for record in train]),
            validation=torch.from_numpy(np.ascontiguousarray(np.asarray(held_out.features[0])[:, last])),
            validation_labels=torch.from_numpy(held_out.labels),
            seed=seed,
        ),
        "plain": best_of_trials(plain, held_out, levels=levels, classes=classes, seed=seed),
        "views": best_of_trials(views, held_out, levels=levels, classes=classes, seed=seed),
    }


def best_of_trials(
    train: SplitFeatures, validation: SplitFeatures, *, levels: list[int], classes: int, seed: int, trials: int = TRIALS
) -> float:
    """Return the best validation accuracy of our trials."""
    best = 0.0
    for rate, size in values_of_trials(seed, trials):
        values = contract.Hyperparameters(epochs=EPOCHS, learning_rate=rate, batch_size=size, seed=seed)
        head = new_head(train.features, levels=levels, classes=classes)
        for epoch in fit(head, train=train, validation=validation, hyperparameters=values):
            best = max(best, epoch.validation.accuracy)
    return best


def embed(embedder: Embedder, root: Path, records: Records, *, views: int, seed: int = 0) -> NDArray[np.float32]:
    """Return features as the features job computes them: (1 + views, images, dim)."""
    hyperparameters = contract.Hyperparameters(views=views, seed=seed)
    parts = []
    for start in range(0, len(records), 16):
        pixels = np.stack(
            [
                views_of(
                    record,
                    photos=root,
                    views=1 + views,
                    hyperparameters=hyperparameters,
                    preprocessing=embedder.backbone.preprocessing,
                )
                for record in records[start : start + 16]
            ]
        )
        features = embedder.embed(torch.from_numpy(pixels).flatten(0, 1))
        parts.append(features.reshape(len(pixels), 1 + views, -1))
    return np.ascontiguousarray(np.concatenate(parts).transpose(1, 0, 2))


def of_records(features: NDArray[np.float32], records: Records) -> SplitFeatures:
    """Return a split of features, (views, images, dim), with the labels of its records."""
    return SplitFeatures(
        features=features,
        labels=np.array([record["label"] for record in records], dtype=np.int64),
        paths=[record["path"] for record in records],
    )


def values_of_trials(seed: int, trials: int) -> list[tuple[float, int]]:
    """Learning rates on a logarithmic scale, and batch sizes; the same for the baseline and for ours."""
    rng = np.random.default_rng([seed, 77])
    return [(float(10 ** rng.uniform(-3, -1)), int(rng.choice(contract.BATCH_SIZES))) for _ in range(trials)]


def _baseline_best_of_trials(
    crops: NDArray[np.float32],
    labels: torch.Tensor,
    *,
    validation: torch.Tensor,
    validation_labels: torch.Tensor,
    seed: int,
) -> float:
    """Train a linear layer with Adam; `crops` has the features of each epoch's crops, (epochs, images, dim)."""
    torch.manual_seed(seed)
    best = 0.0
    for rate, size in values_of_trials(seed, TRIALS):
        head = nn.Linear(crops.shape[2], int(labels.max()) + 1)
        optimizer = torch.optim.Adam(head.parameters(), lr=rate)
        for features in torch.from_numpy(crops):
            # train on this epoch's crops, in random order
            for picked in torch.split(torch.randperm(len(labels)), size):
                optimizer.zero_grad()
                nn.functional.cross_entropy(head(features[picked]), labels[picked]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()

            # validate
            with torch.no_grad():
                correct = head(validation).argmax(dim=1) == validation_labels
                best = max(best, float(correct.float().mean()))
    return best


@torch.inference_mode()
def _baseline_crops(backbone: nn.Module, root: Path, records: Records) -> NDArray[np.float32]:
    """Features of one random crop of each photo, by the baseline's transform: (images, dim)."""
    crops = BaselinePhotos(root, records, TRAIN_TRANSFORM)
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    parts = []
    for start in range(0, len(records), 32):
        normalised = torch.stack([crops[at][0] for at in range(start, min(start + 32, len(records)))])
        # back to pixels, since our backbone normalises by itself
        pixels = (normalised.permute(0, 2, 3, 1) * std + mean) * 255
        parts.append(backbone(pixels.round().to(torch.uint8)).numpy())
    return np.concatenate(parts)
