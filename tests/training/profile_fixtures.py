"""Measurements of made-up trainings, for the tests of the profiler rules and the recommendations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contract import Phase
from training.profiler.measurements import Measurements
from training.profiler.step_clock import CpuTimer, StepClock, StepTimes
from training.profiler.system_sampler import Samples

__all__ = ["measurements", "sampled", "timed"]


def timed(steps: Sequence[dict[Phase, float]]) -> StepTimes:
    """Return the clock's times of steps whose phases take so many seconds."""
    now = [0.0]
    clock = StepClock(CpuTimer(lambda: now[0]))
    for step in steps:
        for phase, seconds in step.items():
            with clock.phase(phase):
                now[0] += seconds
        clock.end_step()
    return clock.finish()


def sampled(samples: int = 1200, **values: float | Sequence[float]) -> Samples:
    """Return so many samples, half a second apart; a number is the value of every sample."""
    series = {
        name: [float(value)] * samples if isinstance(value, int | float) else [float(one) for one in value]
        for name, value in values.items()
    }
    return Samples(times=[0.5 * (number + 1) for number in range(samples)], values=series)


def measurements(**changes: Any) -> Measurements:
    """Return the measurements of a healthy fine-tuning on a machine of eight cores, but for the changes."""
    normal: dict[str, Any] = {
        "mode": "finetune",
        "epochs": 20,
        "batch_size": 64,
        "instance_type": "ml.c5.2xlarge",
        "hosts": 1,
        "cpus": 8,
        "gpus": 0,
        "decoding_threads": 2,
        "initialization_seconds": 12.0,
        "export_seconds": 20.0,
        "steps": timed([{"data": 0.01, "forward": 0.2, "backward": 0.4, "optimizer": 0.05}] * 900),
        "samples": sampled(cpu=92, memory=30, io_wait=0, disk_read=2),
    }
    return Measurements(**(normal | changes))
