"""The measurements that a training's profile is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from training.profiler.step_clock import StepTimes
from training.profiler.system_sampler import Samples

__all__ = ["Measurements"]


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """The measurements of one training, taken by its main process."""

    mode: str
    """`features` or `finetune`."""
    epochs: int
    """The epochs of the whole training; in a resumed one, `steps` covers only those that were left."""
    batch_size: int
    instance_type: str
    hosts: int
    cpus: int
    """The cores of one host that the job may use."""
    gpus: int
    """The GPUs of one host."""
    decoding_threads: int
    """The decoding threads of one host, in all its processes; 0 where no photo is decoded, as with features."""
    initialization_seconds: float
    """The time from the process's start to the first step."""
    steps: StepTimes
    samples: Samples
    """The samples of this host since the first step."""
    workloads: dict[str, list[float]] = field(default_factory=dict)
    """The utilisation in percent of each GPU of every host; where there is no GPU, of each host's cores."""
    export_seconds: float = 0.0
    """The time after the training until the profile is written: choosing, exporting and testing the model."""

    @property
    def job_seconds(self) -> float:
        """The time of the whole job."""
        return self.initialization_seconds + self.steps.total + self.export_seconds

    @property
    def waiting_share(self) -> float:
        """The share of the steps' own time that was spent waiting for data, from 0 to 1."""
        return self.steps.phases["data"] / self.steps.own if self.steps.own else 0.0

    def each_gpu(self) -> dict[str, list[float]]:
        """Return the utilisation in percent of each GPU of this host, by the GPU's name."""
        several = {name: values for name, values in self.samples.values.items() if re.fullmatch(r"gpu\d+", name)}
        alone = {"gpu": self.samples.values["gpu"]} if "gpu" in self.samples.values else {}
        return several or alone

    def each_gpu_memory(self) -> dict[str, list[float]]:
        """Return the used memory in percent of each GPU of this host, by the names of `each_gpu`."""
        values = self.samples.values
        return {name: values[f"{name}_memory"] for name in self.each_gpu() if f"{name}_memory" in values}
