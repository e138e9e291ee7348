"""The hook's share of a best-trial job on the features of a frozen backbone."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from benchmarks.hook.features_job import HYPERPARAMETERS, job_seconds, write_channels
from benchmarks.hook.hooks import PEER, import_seconds, our_hook, smdebug_hook
from benchmarks.photos import bench_records, describe_photos
from benchmarks.result import Result, cost_share
from benchmarks.timing import cpu_seconds, interleave, median
from training.embedding.store import SplitFeatures, read_split
from training.loop.head_loop import fit
from training.model.head import new_head
from training.runtime.observer import Observer, TensorHook

__all__ = ["features"]

Hooked = AbstractContextManager[TensorHook | None]


def features(*, quick: bool) -> Result:
    """Measure the loop with either hook, the whole job, and what importing the hook takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root, records = bench_records(limit=150 if quick else None)
        write_channels(folder, records)
        train, validation = (read_split(folder / "features", split) for split in ("train", "validation"))

        loops = interleave(
            {
                "none": lambda: _loop_seconds(train, validation, nullcontext()),
                "ours": lambda: _loop_seconds(train, validation, our_hook("features")),
                "smdebug": lambda: _loop_seconds(train, validation, smdebug_hook()),
            },
            rounds=3 if quick else 11,
        )
        jobs = interleave(
            {
                "none": lambda: job_seconds(folder, root, hooked=False),
                "ours": lambda: job_seconds(folder, root, hooked=True),
            },
            rounds=1 if quick else 3,
        )
        importing = median(import_seconds() for _ in range(1 if quick else 3))

    # The loop's own difference is a small part of the job's time, in whose noise it would be lost.
    loop = {name: median(seconds) for name, seconds in loops.items()}
    job = {name: median(seconds) for name, seconds in jobs.items()}
    added = {name: loop[name] - loop["none"] for name in ("ours", "smdebug")}
    share = {name: (importing + added[name]) / job["none"] for name in added}

    steps = -(-len(train.labels) // HYPERPARAMETERS.batch_size) * HYPERPARAMETERS.epochs
    return cost_share(
        "hook_features",
        unit=f"share of the training time: {importing:.2f} s to import smdebug and {added['ours']:.2f} s for {steps} "
        f"steps of {loop['none']:.2f} s, in a job of {job['none']:.1f} s (measured whole, with the hook: "
        f"{job['ours']:.1f} s); {describe_photos()}",
        ours=share["ours"],
        peer=(PEER, share["smdebug"]),
        at_most=0.05,
    )


def _loop_seconds(train: SplitFeatures, validation: SplitFeatures, hooked: Hooked) -> float:
    """CPU seconds of a head's training, the hook's beginning and end included."""
    head = new_head(train.features, levels=[train.features.shape[2]], classes=int(train.labels.max()) + 1)

    def work() -> None:
        with hooked as hook:
            observer = Observer(hook=hook)
            for _ in fit(head, train=train, validation=validation, hyperparameters=HYPERPARAMETERS, observer=observer):
                pass

    return cpu_seconds(work)
