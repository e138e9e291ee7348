"""Fine-tuning beside a head on features, and beside the defaults that fine-tuning had before, through the jobs.

The photos are those of `clothing10` beside the checkout: the training photos are split into training and validation by
seed, and all ways are tested on the same test photos. Each way is the training job as it is, in a process of its own,
with the values below in place of a search's; the features job runs once for each seed and for all ways.

Once with the default backbone, and once with the most accurate settings by cross-validation of the training photos
(benchmarks/most_accurate.py). `NETWORKS` and `SEEDS` may choose some of them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import contract
from benchmarks.result import Result, emit
from benchmarks.timing import child_cpu_seconds
from training.loop.history import standard_error

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT.parent / "shared" / "data" / "clothing10"
SEEDS = 5
_FINE_TUNING: dict[str, Any] = {
    "mode": "finetune",
    "learning_rate": 0.01,
    "backbone_rate": 1.0,
    "batch_size": 32,
    "epochs": 8,
}
OURS, HEAD, BEFORE = "ours", "a head on features", "the defaults of before"
WAYS: dict[str, dict[str, Any]] = {
    OURS: _FINE_TUNING,
    BEFORE: {**_FINE_TUNING, "label_smoothing": 0.0, "ema": 0.0, "mixup": 0.0},
    HEAD: {"mode": "features"},
}
"""The hyperparameters of each way, beside those of the network."""


@dataclass(frozen=True)
class Network:
    """What is fine-tuned, and in which ways."""

    words: str
    values: dict[str, Any]
    unfreeze_from: str
    """The first layer that learns when fine-tuning: of all of them the beginning of the same stage."""
    ways: tuple[str, ...] = tuple(WAYS)

    def hyperparameters(self, way: str) -> dict[str, Any]:
        """Return those of a way to train it."""
        tuned = {"unfreeze_from": self.unfreeze_from} if WAYS[way]["mode"] == "finetune" else {}
        return {**self.values, **WAYS[way], **tuned}


NETWORKS = {
    "finetuning": Network(
        "EfficientNet-Lite0 at 224 pixels",
        {"backbone": "efficientnet_lite0"},
        "_blocks.11",
    ),
    "finetuning_most_accurate": Network(
        "EfficientNet-Lite2 at 260 pixels, averaged over the mirror image",
        {"backbone": "efficientnet_lite2", "image_size": 260, "average_mirrored": True},
        "_blocks.15",
        (OURS, HEAD),
    ),
}
"""By the name of their results."""


@dataclass(frozen=True)
class Trained:
    """The test results of a training job, and what it took."""

    accuracy: float
    loss: float
    seconds: float
    """Of CPU time, the features' not among them."""


def measure(network: Network, seed: int, *, quick: bool) -> dict[str, Trained]:
    """Run the features job and the training job of every way; every second seed goes backwards."""
    with tempfile.TemporaryDirectory() as folder:
        job = _Job(Path(folder), seed=seed, quick=quick)
        job.run(contract.EntryPoint.FEATURES, network.hyperparameters(HEAD), model="features")
        trained = {}
        for name in sorted(network.ways, reverse=bool(seed % 2)):
            seconds = job.run(contract.EntryPoint.TRAIN, network.hyperparameters(name), model="model")
            evaluation = json.loads((Path(folder) / "output" / contract.Artefact.EVALUATION).read_text("utf-8"))
            trained[name] = Trained(evaluation["test_accuracy"], evaluation["test_loss"], seconds)
            print(network.words, seed, name, trained[name], file=sys.stderr, flush=True)
        return trained


class _Job:
    """The folders of a run's jobs, as SageMaker lays them out."""

    def __init__(self, folder: Path, *, seed: int, quick: bool):
        self._folder = folder
        self._values = {"quantize": False, "seed": seed, **({"epochs": 1, "views": 1} if quick else {})}
        self._quick = quick
        (folder / "manifest").mkdir()
        records, classes = _records(seed, each=6 if quick else None)
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / "manifest" / contract.Artefact.MANIFEST).write_text(lines, encoding="utf-8")
        counts = [{"name": name, "train": 0, "validation": 0, "test": 0} for name in classes]
        summary = {"prefix": "dataset/", "classes": counts, "images": len(records), "fingerprint": "f" * 64}
        summary |= {"stray_files": 0, "duplicates_across_splits": 0, "split": "given", "test_fingerprint": "t" * 64}
        (folder / "manifest" / contract.Artefact.DATASET_SUMMARY).write_text(json.dumps(summary), encoding="utf-8")

    def run(self, program: contract.EntryPoint, values: Mapping[str, Any], *, model: str) -> float:
        """Run a job to its end and return its CPU seconds."""
        chosen = {**self._values, **values, **({"epochs": 1} if self._quick else {})}
        folder = self._folder
        variables = {
            "SM_CHANNEL_DATASET": str(PHOTOS),
            "SM_CHANNEL_MANIFEST": str(folder / "manifest"),
            "SM_CHANNEL_FEATURES": str(folder / "features"),
            "SM_MODEL_DIR": str(folder / model),
            "SM_OUTPUT_DATA_DIR": str(folder / "output"),
            "SM_HPS": json.dumps(chosen),
            "TRAINING_JOB_NAME": f"benchmark-{os.getpid()}",
            "TMPDIR": str(folder),
            "OMP_NUM_THREADS": "1",
            **contract.JOB_ENVIRONMENT,
        }
        return child_cpu_seconds([str(ROOT / program)], variables)


def _records(seed: int, *, each: int | None) -> tuple[list[contract.ImageRecord], list[str]]:
    """Return the records, a fifth of each class's training photos for validation, and the classes.

    `each`: how many training photos and test photos of a class there are at most.
    """
    classes = sorted(folder.name for folder in (PHOTOS / "train").iterdir())
    rng = np.random.default_rng([seed, 1])
    records: list[contract.ImageRecord] = []
    for label, name in enumerate(classes):
        for given in ("train", "test"):
            files = sorted((PHOTOS / given / name).glob("*.jpg"))
            for place, number in enumerate(rng.permutation(len(files))[:each]):
                held = given == "train" and place % 5 == 0
                split: contract.SplitName = "validation" if held else "train" if given == "train" else "test"
                path = files[number].relative_to(PHOTOS).as_posix()
                records.append({"path": path, "label": label, "split": split, "etag": path})
    return sorted(records, key=lambda record: record["path"]), classes


def results(name: str, measured: list[dict[str, Trained]]) -> list[Result]:
    """Return the results of a network over all seeds: accuracy, loss, and CPU time."""
    found = [
        _result(name, "", "accuracy", measured, sign=1, at_least=0.90),
        _result(name, "_loss", "loss", measured, sign=-1, at_least=None),
    ]
    return found + ([_seconds(f"{name}_seconds", measured)] if BEFORE in measured[0] else [])


def _result(
    name: str, suffix: str, what: str, measured: list[dict[str, Trained]], *, sign: int, at_least: float | None
) -> Result:
    network = NETWORKS[name]
    of_seeds = {way: np.array([getattr(seed[way], what) for seed in measured]) for way in network.ways}
    means = {way: float(values.mean()) for way, values in of_seeds.items()}
    ours, against = means.pop(OURS), HEAD
    return Result(
        name=name + suffix,
        unit=f"{what} on clothing10's test photos, mean of {len(measured)} seeds (standard error "
        f"{standard_error(of_seeds[OURS]):.4f}), {network.words}",
        ours=ours,
        peers=means,
        ratio=(1 - means[against]) / (1 - ours) if sign == 1 else means[against] / ours,
        against=f"{against}, by errors" if sign == 1 else against,
        goal=f"better than a head on features{f', and at least {at_least}' if at_least else ''}",
        holds=sign * (ours - means[against]) > 0 and (at_least is None or ours >= at_least),
    )


def _seconds(name: str, measured: list[dict[str, Trained]]) -> Result:
    means = {way: float(np.mean([seed[way].seconds for seed in measured])) for way in WAYS}
    ours, against = means.pop(OURS), BEFORE
    return Result(
        name=name,
        unit="CPU seconds of a training job with export and test, features not among them",
        ours=ours,
        peers=means,
        ratio=means[against] / ours,
        against=against,
        goal="at most a tenth more than without averaging and mixup",
        holds=ours <= 1.1 * means[against],
    )


def main() -> None:
    """Measure all seeds, or one with few photos (--quick)."""
    quick = "--quick" in sys.argv
    if not PHOTOS.is_dir():
        print("finetuning: there is no clothing10 beside the checkout, so nothing is measured", file=sys.stderr)
        emit([])
        return
    seeds = 1 if quick else int(os.environ.get("SEEDS", SEEDS))
    chosen = os.environ.get("NETWORKS", ",".join(NETWORKS)).split(",")
    found: list[Result] = []
    for name in chosen:
        found += results(name, [measure(NETWORKS[name], seed, quick=quick) for seed in range(seeds)])
    emit(found)


if __name__ == "__main__":
    main()
