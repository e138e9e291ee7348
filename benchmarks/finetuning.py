"""Fine-tuning beside a head on features, and beside the defaults that fine-tuning had before, through the jobs.

The photos are those of `clothing10` beside the checkout: the training photos are split into training and validation by
seed, and all ways are tested on the same test photos. Each way is the training job as it is, in a process of its own,
with the values below in place of a search's; the features job runs once for each seed and for all ways.
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
_COMMON: dict[str, Any] = {"backbone": "efficientnet_lite0", "quantize": False}
_FINE_TUNING = {
    "mode": "finetune",
    "unfreeze_from": "_blocks.11",
    "learning_rate": 0.01,
    "backbone_rate": 1.0,
    "batch_size": 32,
    "epochs": 8,
}
WAYS: dict[str, dict[str, Any]] = {
    "ours": _FINE_TUNING,
    "the defaults of before": {**_FINE_TUNING, "label_smoothing": 0.0, "ema": 0.0, "mixup": 0.0},
    "a head on features": {"mode": "features"},
}
"""The hyperparameters of each way, beside the common ones."""


@dataclass(frozen=True)
class Trained:
    """The test results of a training job, and what it took."""

    accuracy: float
    loss: float
    seconds: float
    """Of CPU time, the features' not among them."""


def measure(seed: int, *, quick: bool) -> dict[str, Trained]:
    """Run the features job and the training job of every way; every second seed goes backwards."""
    with tempfile.TemporaryDirectory() as folder:
        job = _Job(Path(folder), seed=seed, quick=quick)
        job.run(contract.EntryPoint.FEATURES, {"mode": "features"}, model="features")
        trained = {}
        for name in sorted(WAYS, reverse=bool(seed % 2)):
            seconds = job.run(contract.EntryPoint.TRAIN, WAYS[name], model="model")
            evaluation = json.loads((Path(folder) / "output" / contract.Artefact.EVALUATION).read_text("utf-8"))
            trained[name] = Trained(evaluation["test_accuracy"], evaluation["test_loss"], seconds)
            print(seed, name, trained[name], file=sys.stderr, flush=True)
        return trained


class _Job:
    """The folders of a run's jobs, as SageMaker lays them out."""

    def __init__(self, folder: Path, *, seed: int, quick: bool):
        self._folder = folder
        self._values = {**_COMMON, "seed": seed, **({"epochs": 1, "views": 1} if quick else {})}
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


def results(measured: list[dict[str, Trained]]) -> list[Result]:
    """Return the results of all seeds: accuracy, loss, and CPU time."""
    return [
        _result("finetuning", "accuracy", measured, sign=1, at_least=0.90),
        _result("finetuning_loss", "loss", measured, sign=-1, at_least=None),
        _seconds(measured),
    ]


def _result(name: str, what: str, measured: list[dict[str, Trained]], *, sign: int, at_least: float | None) -> Result:
    of_seeds = {way: np.array([getattr(seed[way], what) for seed in measured]) for way in WAYS}
    means = {way: float(values.mean()) for way, values in of_seeds.items()}
    ours, against = means.pop("ours"), "a head on features"
    return Result(
        name=name,
        unit=f"{what} on clothing10's test photos, mean of {len(measured)} seeds (standard error "
        f"{standard_error(of_seeds['ours']):.4f}), EfficientNet-Lite0 at 224 pixels",
        ours=ours,
        peers=means,
        ratio=(1 - means[against]) / (1 - ours) if sign == 1 else means[against] / ours,
        against=f"{against}, by errors" if sign == 1 else against,
        goal=f"better than a head on features{f', and at least {at_least}' if at_least else ''}",
        holds=sign * (ours - means[against]) > 0 and (at_least is None or ours >= at_least),
    )


def _seconds(measured: list[dict[str, Trained]]) -> Result:
    means = {way: float(np.mean([seed[way].seconds for seed in measured])) for way in WAYS}
    ours, against = means.pop("ours"), "the defaults of before"
    return Result(
        name="finetuning_seconds",
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
    seeds = int(os.environ.get("SEEDS", SEEDS))
    emit(results([measure(seed, quick=quick) for seed in range(1 if quick else seeds)]))


if __name__ == "__main__":
    main()
