"""All that a training's profile is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from training.profiler.step_clock import StepTimes
from training.profiler.system_sampler import Samples

__all__ = ["Measurements"]


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """One training, as the process that leads it saw it."""

    mode: str
    """`features` or `finetune`."""
    epochs: int
    """Of the whole training; of a resumed one, `steps` are those that were left."""
    batch_size: int
    instance_type: str
    hosts: int
    cpus: int
    """Of one host, that the job may use."""
    gpus: int
    """Of one host."""
    decoding_threads: int
    """Of one host, together; 0 where no photo is decoded, as with features."""
    initialization_seconds: float
    """From the process's start to the first step."""
    steps: StepTimes
    samples: Samples
    """Of this host, since the first step."""
    workloads: dict[str, list[float]] = field(default_factory=dict)
    """How busy each GPU of every host was, in percent; where there is none, each host's cores."""
    delivery_seconds: float = 0.0
    """After the training, until the profile was written: choosing, exporting and testing the model."""

    @property
    def job_seconds(self) -> float:
        """All of it."""
        return self.initialization_seconds + self.steps.total + self.delivery_seconds

    @property
    def waiting_share(self) -> float:
        """Part of the steps' own time that was spent waiting for data, from 0 to 1."""
        return self.steps.phases["data"] / self.steps.own if self.steps.own else 0.0

    def each_gpu(self) -> dict[str, list[float]]:
        """How busy each GPU of this host was, in percent, by its name."""
        several = {name: values for name, values in self.samples.values.items() if re.fullmatch(r"gpu\d+", name)}
        alone = {"gpu": self.samples.values["gpu"]} if "gpu" in self.samples.values else {}
        return several or alone

    def each_gpu_memory(self) -> dict[str, list[float]]:
        """How full each GPU's memory was, in percent, by the names of `each_gpu`."""
        values = self.samples.values
        return {name: values[f"{name}_memory"] for name in self.each_gpu() if f"{name}_memory" in values}
