"""Trainings that are killed: a program of its own, which forks one process an attempt so that torch is imported once.

Usage: python -m tests.training.kill_and_resume <folder> <head|finetune> <random moments>

Runs the training once to its end, then again and again with a kill at a chosen or a random moment, each time restarted
until it ends, and prints a JSON object a moment: where it was killed, and whether it ended in the same weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import contract
from training.embedding.store import SplitFeatures
from training.loop.head_loop import fit
from training.loop.history import History
from training.model.head import new_head
from training.runtime.checkpoints import Checkpoints

torch.set_num_threads(1)  # a forked child cannot use its parent's OpenMP threads

MOMENTS: dict[str, list[tuple[str, int, signal.Signals]]] = {
    "finetune": [
        ("decoding", 3, signal.SIGKILL),
        ("decoding", 40, signal.SIGTERM),
        ("before the update", 2, signal.SIGKILL),
        ("after the update", 3, signal.SIGTERM),
        ("synchronising a checkpoint", 4, signal.SIGKILL),
        ("renaming a checkpoint", 3, signal.SIGKILL),
        ("validating", 2, signal.SIGTERM),
        ("validating", 3, signal.SIGKILL),
    ],
    "head": [
        ("before the update", 1, signal.SIGKILL),
        ("before the update", 17, signal.SIGTERM),
        ("after the update", 12, signal.SIGKILL),
        ("synchronising a checkpoint", 9, signal.SIGKILL),
        ("renaming a checkpoint", 2, signal.SIGKILL),
        ("renaming a checkpoint", 11, signal.SIGTERM),
    ],
}
"""Where, at which occurrence, and by which signal."""


def digest(weights: dict[str, torch.Tensor], history: History) -> str:
    """Changes with a single bit of the weights, or of any epoch's results."""
    assert all(bool(value.isfinite().all()) for value in weights.values()), "infinities are all alike"
    content = hashlib.sha256(json.dumps(history.state()["epochs"]).encode())
    for name, value in sorted(weights.items()):
        content.update(name.encode() + value.contiguous().numpy().tobytes())
    return content.hexdigest()


def train_head() -> str:
    """A head of three classes, in batches that do not divide the photos."""
    rng = np.random.default_rng(0)
    splits = []
    for images in (100, 30):
        labels = np.arange(images) % 3
        features = rng.normal(size=(2, images, 8)) + labels[:, np.newaxis]
        splits.append(SplitFeatures(features=features.astype(np.float32), labels=labels, paths=[""] * images))
    train, validation = splits
    head, history = new_head(train.features, levels=[8], classes=3), History()
    values = contract.Hyperparameters(epochs=3, batch_size=16, learning_rate=0.03)
    checkpoints = Checkpoints(
        Path(os.environ["SAGEMAKER_BASE_DIR"]) / "checkpoints", identity=dict(values.to_strings())
    )
    list(
        fit(head, train=train, validation=validation, hyperparameters=values, checkpoints=checkpoints, history=history)
    )
    return digest(head.state_dict() | {f"best.{name}": value for name, value in history.weights.items()}, history)


def train_network() -> str:
    """The fine-tuning that the environment's SM_ variables describe."""
    from training.loop import finetune
    from training.runtime import environment

    tuned = finetune.train(environment.hyperparameters())
    return digest(tuned.classifier.state_dict(), tuned.history)


def strike(kind: str, where: str, occurrence: int, number: signal.Signals) -> None:
    """Make this process hit itself with a signal at a moment."""
    from training.data import transforms
    from training.loop import finetune_loop, head_loop, prediction

    # Fine-tuning begins with a head too: its own steps are those of its own optimiser.
    optimizer = torch.optim.AdamW if kind == "head" else torch.optim.SGD
    count = 0

    def watched(function: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        def watching(*args: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            result = function(*args, **named) if after else None
            if count == occurrence:
                os.kill(os.getpid(), number)
            return result if after else function(*args, **named)

        return watching

    if where == "decoding":
        transforms.ViewMaker.random_of = watched(transforms.ViewMaker.random_of)  # type: ignore[method-assign]
    elif where == "before the update":
        optimizer.zero_grad = watched(optimizer.zero_grad)  # type: ignore[method-assign]
    elif where == "after the update":
        optimizer.step = watched(optimizer.step, after=True)  # type: ignore[method-assign]
    elif where == "synchronising a checkpoint":
        os.fsync = watched(os.fsync)
    elif where == "renaming a checkpoint":
        Path.replace = watched(Path.replace)  # type: ignore[method-assign]
    elif where == "validating":
        if kind == "head":
            head_loop.__dict__["head_logits"] = watched(head_loop.head_logits)
        else:
            finetune_loop.__dict__["predict"] = watched(prediction.predict)
    else:
        raise ValueError(f"no moment is called {where!r}")


def attempt(run: Callable[[], str], *, log: Path, answer: Path, prepare: Callable[[], None]) -> int:
    """Start the training in a process of its own; returns its id."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        # As if every checkpoint were due: the trainings here are shorter than the time between two of them.
        Checkpoints.due = lambda self: self.kept  # type: ignore[method-assign]
        prepare()
        answer.write_text(run())
        status = 0
    except SystemExit as error:
        status = int(error.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(status)


def main() -> None:
    """See the module."""
    root, kind, random_moments = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    run = train_head if kind == "head" else train_network
    if kind == "finetune":
        import training.loop.finetune  # noqa: F401  (before the forks)

    def whole(name: str, *, first: Callable[[], None] = lambda: None, kill: tuple[float, int] | None = None) -> Any:
        base = root / "bases" / name.replace(" ", "-")
        shutil.rmtree(base, ignore_errors=True)
        (base / "checkpoints").mkdir(parents=True)
        os.environ["SAGEMAKER_BASE_DIR"] = str(base)
        ends: list[int] = []
        prepare = first
        while not ends or ends[-1] != 0:
            process = attempt(run, log=base / "log", answer=base / "answer", prepare=prepare)
            if kill and not ends:
                time.sleep(kill[0])
                os.kill(process, kill[1])
            ends.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
            prepare = lambda: None  # noqa: E731
            if len(ends) > 3:
                raise RuntimeError(f"{name} does not end: {(base / 'log').read_text()}")
        return (base / "answer").read_text(), ends, (base / "log").read_text()

    start = time.monotonic()
    expected, _, _ = whole("uninterrupted")
    seconds = time.monotonic() - start

    def report(name: str, found: str, ends: list[int], log: str) -> None:
        print(json.dumps({"moment": name, "same": found == expected, "ends": ends, "log": log}), flush=True)

    for where, count, number in MOMENTS[kind]:
        name = f"{where} {count} {number.name}"
        report(name, *whole(name, first=lambda w=where, c=count, n=number: strike(kind, w, c, n)))  # type: ignore[misc]
    draw = random.Random(int(os.environ.get("KILL_SEED", "0")))
    for index in range(random_moments):
        when, number = draw.uniform(0, seconds), draw.choice([signal.SIGKILL, signal.SIGTERM])
        name = f"random {index}"
        report(f"after {when:.2f} s of {seconds:.2f} s, {number.name}", *whole(name, kill=(when, number)))


if __name__ == "__main__":
    main()
