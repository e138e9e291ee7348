"""What the profile costs: the clock's part of a head's step, and the sampler's part of a core.

A head's steps are the shortest that this project makes, so that the clock weighs most there; a step of a fine-tuning is
a thousand times as long. CPU time, so that a busy neighbour does not count. The clock is timed by itself, on the very
calls that a step makes: its cost is far below what two trainings differ by.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

import contract
from benchmarks.result import Result, emit
from benchmarks.timing import interleave, median
from training.embedding.store import SplitFeatures
from training.loop.head_loop import fit
from training.model.head import new_head
from training.profiler.step_clock import CpuTimer, StepClock
from training.profiler.system_probes import probes
from training.profiler.system_sampler import INTERVAL
from training.runtime.observer import Observer

IMAGES, DIM, CLASSES = 4096, 2048, 10
CALLS = 5000
ROUNDS = {"quick": 1, "full": 9}
GOAL = 0.01


def features(images: int) -> SplitFeatures:
    """As many as ResNet50 gives, one view."""
    rng = np.random.default_rng(0)
    return SplitFeatures(
        features=rng.standard_normal((1, images, DIM)).astype(np.float32),
        labels=rng.integers(0, CLASSES, images),
        paths=[""] * images,
    )


def a_step() -> Callable[[], float]:
    """CPU seconds of a head's step at the default batch size, without validation."""
    values = contract.Hyperparameters(epochs=1)
    split, few = features(IMAGES), features(1)

    def measure() -> float:
        head = new_head(split.features, levels=[DIM], classes=CLASSES)
        start = time.process_time()
        for _ in fit(head, train=split, validation=few, hyperparameters=values):
            pass
        return (time.process_time() - start) / -(-IMAGES // values.batch_size)

    return measure


def calls_of(observer: Callable[[], Observer]) -> Callable[[], float]:
    """CPU seconds of what one step of `training.loop.head_loop` calls on its observer."""
    loss, logits, labels = torch.zeros(()), torch.zeros(1, CLASSES), torch.zeros(1, dtype=torch.int64)

    def measure() -> float:
        watching = observer()
        start = time.process_time()
        for number in range(CALLS):
            watching.begin_step(number)
            for phase in ("data", "forward", "backward"):
                with watching.phase(phase):
                    pass
            watching.after_backward()
            with watching.phase("optimizer"):
                pass
            watching.end_step(loss=loss, logits=logits, labels=labels)
        return (time.process_time() - start) / CALLS

    return measure


def a_sample() -> float:
    """CPU seconds of one look at the machine."""
    made = [make() for make in probes().values()]
    start = time.process_time()
    for _ in range(20):
        for probe in made:
            probe()
    return (time.process_time() - start) / 20


def main() -> None:
    torch.set_num_threads(1)
    measured = interleave(
        {
            "step": a_step(),
            "unwatched": calls_of(Observer),
            "watched": calls_of(lambda: Observer(clock=StepClock(CpuTimer()))),
            "sample": a_sample,
        },
        ROUNDS["quick" if "--quick" in sys.argv else "full"],
    )
    step, unwatched, watched, sample = (median(measured[name]) for name in measured)
    clock, sampler = (watched - unwatched) / step, sample / INTERVAL
    share = clock + sampler
    emit(
        [
            Result(
                name="profile: clock and sampler, share of a head's training",
                unit="share",
                ours=share,
                peers={"the clock alone": clock, "the sampler alone, of one core": sampler},
                ratio=share,
                against=f"a step of {1e6 * step:.0f} µs without them",
                goal=f"at most {GOAL}",
                holds=share <= GOAL,
            )
        ]
    )


if __name__ == "__main__":
    main()
