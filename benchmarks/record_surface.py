"""Record the surface that the search benchmark searches: how well heads do by learning rate and batch size.

    python -m benchmarks.record_surface FEATURES benchmarks/surfaces/heads.json

with the training environment's Python. FEATURES is the model folder of a features job. The committed file is made from
the 1,172 photos of clothing10 with efficientnet_lite0, four augmented views and the plain one. A trial trains a head
for five epochs and is scored on validation and test photos together, for less noise: the search is what is
measured here, not the model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

import contract
from training.embedding.store import SplitFeatures, read_index, read_split
from training.loop.head_loop import fit, new_head

LEARNING_RATES = np.geomspace(*contract.LEARNING_RATE_LIMITS, 17)
SEEDS = 5
EPOCHS = 5


def record(features: Path) -> dict[str, object]:
    """Train heads over the whole grid.

    Returns:
        The grid and, for each objective, the means over the seeds (batch sizes, learning rates) and their noise.
    """
    folder, index = read_index(features)
    train = read_split(folder, "train")
    held_out = _together(read_split(folder, "validation"), read_split(folder, "test"))
    scores = np.empty((len(contract.BATCH_SIZES), len(LEARNING_RATES), SEEDS, 2))
    for row, batch_size in enumerate(contract.BATCH_SIZES):
        for column, learning_rate in enumerate(LEARNING_RATES):
            for seed in range(SEEDS):
                values = contract.Hyperparameters(
                    backbone=index["backbone"],
                    epochs=EPOCHS,
                    learning_rate=float(learning_rate),
                    batch_size=batch_size,
                    seed=seed,
                )
                head = new_head(train, levels=index["levels"], classes=len(index["classes"]))
                *_, last = fit(head, train=train, validation=held_out, hyperparameters=values)
                scores[row, column, seed] = last.validation.accuracy, last.validation.loss
        print(f"batch size {batch_size} done", flush=True)
    surface: dict[str, object] = {
        "learning_rates": [float(f"{rate:.6g}") for rate in LEARNING_RATES],
        "batch_sizes": list(contract.BATCH_SIZES),
        "photos": {"train": len(train.labels), "held_out": len(held_out.labels)},
        "backbone": index["backbone"],
        "epochs": EPOCHS,
        "seeds": SEEDS,
    }
    for position, name in enumerate(("accuracy", "loss")):
        surface[name] = {
            "mean": scores[..., position].mean(axis=2).round(5).tolist(),
            "standard_deviation": float(scores[..., position].std(axis=2, ddof=1).mean().round(6)),
        }
    return surface


def _together(*splits: SplitFeatures) -> SplitFeatures:
    return SplitFeatures(
        features=np.concatenate([split.features[0][:] for split in splits])[np.newaxis],
        labels=np.concatenate([split.labels for split in splits]),
        paths=[path for split in splits for path in split.paths],
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    recorded = record(Path(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps(recorded) + "\n", encoding="utf-8")
