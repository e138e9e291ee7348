"""The best-trial job on features: its channels, and a run of it in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import contract
from benchmarks.hook.hooks import SAVE_INTERVAL
from benchmarks.photos import classes_of, write_manifest
from benchmarks.timing import child_cpu_seconds
from contract import JOB_ENVIRONMENT
from training.embedding.files import SplitWriter, write_index
from training.model.weights import load_backbone

__all__ = ["HYPERPARAMETERS", "job_seconds", "write_channels"]

HYPERPARAMETERS = contract.Hyperparameters(backbone="efficientnet_lite0")

_ROOT = Path(__file__).parents[2]


def write_channels(folder: Path, records: list[contract.ImageRecord]) -> None:
    """Write the job's channels `features` and `manifest` below a folder.

    The features are random numbers around each class's label, since the job only reads them.
    """
    write_manifest(folder / "manifest", records)
    _write_features(folder / "features", records, classes_of(records))


def _write_features(folder: Path, records: list[contract.ImageRecord], classes: list[str]) -> None:
    # The network that the job exports decides how wide the features are.
    backbone, weights = load_backbone(HYPERPARAMETERS.backbone, image_size=HYPERPARAMETERS.image_size)
    levels = backbone.level_sizes(image_size=HYPERPARAMETERS.image_size)
    spec = contract.feature_spec(
        HYPERPARAMETERS,
        weights=weights,
        resize=backbone.preprocessing.resize,
        interpolation=backbone.preprocessing.interpolation,
        levels=levels,
        precision="float32",
    )
    index = contract.new_features_index(spec, key="k", classes=classes)
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split in contract.SPLITS:
        of_split = [record for record in records if record["split"] == split]
        labels = np.array([record["label"] for record in of_split])
        views, dim = index["views"][split], index["dim"]
        features = rng.normal(size=(len(of_split), views, dim)) + 0.1 * labels[:, np.newaxis, np.newaxis]
        with SplitWriter(folder, split=split, views=views, dim=dim, precision="float32") as writer:
            writer.add(features.astype(np.float32), records=of_split, positions=range(len(of_split)))
        index["counts"][split] = len(of_split)
    write_index(folder, index)


def job_seconds(folder: Path, photos: Path, *, hooked: bool) -> float:
    """Return the CPU seconds of the whole job, with or without the hook.

    Args:
        folder: Where the channels are.
        photos: Root of the photos.
        hooked: Whether the job is asked to save tensors.
    """
    variables = {
        "SM_CHANNEL_DATASET": str(photos),
        "SM_CHANNEL_MANIFEST": str(folder / "manifest"),
        "SM_CHANNEL_FEATURES": str(folder / "features"),
        "SM_HPS": json.dumps(HYPERPARAMETERS.to_strings()),
        "SM_MODEL_DIR": str(folder / "model"),
        "SM_OUTPUT_DATA_DIR": str(folder / "output"),
        "TRAINING_JOB_NAME": "bench",
        "OMP_NUM_THREADS": "1",
        **JOB_ENVIRONMENT,
    }
    if hooked:
        variables[contract.JobVariable.SAVE_INTERVAL] = str(SAVE_INTERVAL)
    return child_cpu_seconds([str(_ROOT / contract.EntryPoint.TRAIN)], variables)
