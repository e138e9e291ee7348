"""The cost of the profile: the clock's share of a head's step, and the sampler's share of a core.

A head's steps are the shortest of this project, so that the clock weighs most there; a step of a fine-tuning is a
thousand times as long. CPU time is measured, so that a busy neighbour does not count. The clock is timed by itself, on
the calls that a step makes, since its cost is far below the difference between two trainings.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

import contract
from benchmarks.result import Result, emit
from benchmarks.timing import cpu_seconds, interleave, median
from training.embedding.store import SplitFeatures
from training.loop.head_loop import fit
from training.model.head import new_head
from training.profiler.step_clock import CpuTimer, StepClock
from training.profiler.system_probes import probes
from training.profiler.system_sampler import INTERVAL
from training.runtime.observer import Observer

IMAGES, DIM, CLASSES = 4096, 2048, 10
CALLS = 5000
SAMPLES = 20
GOAL = 0.01


def features(images: int) -> SplitFeatures:
    """Return random features in ResNet50's dimension, one view of each image."""
    rng = np.random.default_rng(0)
    return SplitFeatures(
        features=rng.standard_normal((1, images, DIM)).astype(np.float32),
        labels=rng.integers(0, CLASSES, images),
        paths=[""] * images,
    )


def step_seconds() -> Callable[[], float]:
    """Return a measurement: the CPU seconds of a head's step at the default batch size, without validation."""
    values = contract.Hyperparameters(epochs=1)
    train, validation = features(IMAGES), features(1)

    def measure() -> float:
        head = new_head(train.features, levels=[DIM], classes=CLASSES)

        def training() -> None:
            for _ in fit(head, train=train, validation=validation, hyperparameters=values):
                pass

        return cpu_seconds(training) / -(-IMAGES // values.batch_size)

    return measure


def calls_seconds(make_observer: Callable[[], Observer]) -> Callable[[], float]:
    """Return a measurement: the CPU seconds of the calls that a head's step makes to its observer."""
    loss, logits, labels = torch.zeros(()), torch.zeros(1, CLASSES), torch.zeros(1, dtype=torch.int64)

    def measure() -> float:
        observer = make_observer()
        start = time.process_time()
        for number in range(CALLS):
            observer.begin_step(number)
            for phase in ("data", "forward", "backward"):
                with observer.phase(phase):
                    pass
            observer.after_backward()
            with observer.phase("optimizer"):
                pass
            observer.end_step(loss=loss, logits=logits, labels=labels)
        return (time.process_time() - start) / CALLS

    return measure


def sample_seconds() -> float:
    """Return the CPU seconds of one sample of the machine's use."""
    made = [make() for make in probes().values()]
    return cpu_seconds(lambda: [probe() for _ in range(SAMPLES) for probe in made]) / SAMPLES


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    measured = interleave(
        {
            "step": step_seconds(),
            "without clock": calls_seconds(Observer),
            "with clock": calls_seconds(lambda: Observer(clock=StepClock(CpuTimer()))),
            "sample": sample_seconds,
        },
        rounds=1 if quick else 9,
    )
    cost = {name: median(seconds) for name, seconds in measured.items()}
    clock = (cost["with clock"] - cost["without clock"]) / cost["step"]
    sampler = cost["sample"] / INTERVAL
    share = clock + sampler
    return [
        Result(
            name="profile: clock and sampler, share of a head's training",
            unit="share",
            ours=share,
            peers={"the clock alone": clock, "the sampler alone, of one core": sampler},
            ratio=share,
            against=f"a step of {1e6 * cost['step']:.0f} µs without them",
            goal=f"at most {GOAL}",
            holds=share <= GOAL,
        )
    ]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
