"""What it costs a run to look for wrong photos, near-copies, unknown photos and honest numbers, beside the rest of it.

The features job and the training of a run, with the defaults and without trials, which only make the rest longer. Both
are run as they are; the CPU time of the steps in question is taken as they are called.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Final

import contract
from benchmarks.photos import bench_records, describe_photos, write_manifest
from benchmarks.result import Result, emit
from benchmarks.timing import child_cpu_seconds, median

ADDED: Final = {
    "training.train": (
        "fit_distance",
        "group_accuracy",
        "find_near_copies",
        "examine_run",
        "photos_to_show",
        "write_thumbnails",
        "write_heat_maps",
    ),
    "training.export.evaluate_and_export": (
        "calibrate",
        "write_calibrated",
        "coverage_table",
        "measure_coverage",
        "measure_unknown",
        "near_copies",
        "settle_evidence",
    ),
}
"""The steps in question, by the module that calls them."""

_FEATURES: Final = "the features job"
_TRAINING: Final = "the training"

# The fastest network that there is, so that the rest of the run is as short as it can be.
HYPERPARAMETERS: Final = contract.Hyperparameters(backbone="efficientnet_lite0")

_ROOT: Final = Path(__file__).parents[1]


def run(*, quick: bool) -> list[Result]:
    """Run the jobs in processes of their own, and compare."""
    photos, records = bench_records(60 if quick else None)
    rounds = [_round(photos, records) for _ in range(1 if quick else 3)]
    seconds = {name: median(each[name] for each in rounds) for name in rounds[0]}
    added = sum(value for name, value in seconds.items() if name not in (_FEATURES, _TRAINING))
    share = added / (seconds[_FEATURES] + seconds[_TRAINING] - added)
    return [
        Result(
            name="run_time",
            unit="share of the CPU time of features job and training that the steps about photos and unknown ones add, "
            f"{HYPERPARAMETERS.backbone}, {len(records):,} photos of {describe_photos()}, median of {len(rounds)}; CPU "
            "seconds of",
            ours=share,
            peers=seconds,
            ratio=1.0,
            against="itself",
            goal="at most 0.10",
            holds=share <= 0.1,
        )
    ]


def _round(photos: Path, records: list[contract.ImageRecord]) -> dict[str, float]:
    """Return the CPU seconds of the two jobs, and of each of the steps in question."""
    with tempfile.TemporaryDirectory(prefix="whippet-bench-") as scratch:
        folder = Path(scratch)
        write_manifest(folder / "manifest", records)
        variables = {
            "SM_CHANNEL_DATASET": str(photos),
            "SM_CHANNEL_MANIFEST": str(folder / "manifest"),
            "SM_MODEL_DIR": str(folder / "features"),
            "SM_OUTPUT_DATA_DIR": str(folder / "output"),
            "SM_HPS": json.dumps(HYPERPARAMETERS.to_strings()),
            "TRAINING_JOB_NAME": "bench",
            "OMP_NUM_THREADS": "1",
        }
        features = child_cpu_seconds([str(_ROOT / contract.EntryPoint.FEATURES)], variables)
        variables |= {"SM_CHANNEL_FEATURES": str(folder / "features"), "SM_MODEL_DIR": str(folder / "model")}
        ended = subprocess.run(
            [sys.executable, "-m", "benchmarks.run_time", "--training"],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return {_FEATURES: features, **json.loads(ended.stdout.splitlines()[-1])}


def _training() -> None:
    """Run the training in this process, and print its CPU seconds and those of each of the steps in question."""
    seconds = dict.fromkeys((_TRAINING, *chain(*ADDED.values())), 0.0)

    def counted(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(step)
        def call(*arguments: Any, **more: Any) -> Any:
            begin = time.process_time()
            try:
                return step(*arguments, **more)
            finally:
                seconds[name] += time.process_time() - begin

        return call

    for module_name, names in ADDED.items():
        module = import_module(module_name)
        for name in names:
            setattr(module, name, counted(name, getattr(module, name)))
    import_module("training.train").main()
    seconds[_TRAINING] = time.process_time()
    print(json.dumps(seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--training", action="store_true")
    arguments = parser.parse_args()
    if arguments.training:
        _training()
    else:
        emit(run(quick=arguments.quick))
