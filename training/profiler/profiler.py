"""The profiler: measures a training while it runs, and writes its profile when the job is done."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

import contract
from training.profiler.downsampling import downsampled
from training.profiler.measurements import Measurements
from training.profiler.recommendations import recommendations
from training.profiler.rules.evaluation import evaluate, requested
from training.profiler.step_clock import StepClock, StepTimes, timer_of
from training.profiler.system_probes import unit
from training.profiler.system_sampler import Samples, SystemSampler
from training.runtime import environment
from training.runtime.distributed import Group
from training.runtime.environment import write_json
from training.runtime.machine import cores, has_cuda, plan_loader

__all__ = ["Profiler", "profile_of"]

_SHOWN_STEPS: Final = 2000
_SHOWN_SAMPLES: Final = 1000
_SENT_SAMPLES: Final = 2000
_OUTLIER_DEVIATIONS: Final = 3


class Profiler:
    """Measures one process's part of the training that runs inside its `with`; the main process then calls `write`.

    It costs about a microsecond a phase and half a millisecond twice a second. A failure in it fails no training: the
    profile names it.
    """

    def __init__(self, hyperparameters: contract.Hyperparameters):
        self._values = hyperparameters
        device = torch.device("cuda" if has_cuda() else "cpu")
        self.clock: StepClock[Any] = StepClock(timer_of(device))
        # One process a host samples the machine.
        first_of_host = os.environ.get("LOCAL_RANK", "0") == "0"
        self._sampler = SystemSampler() if first_of_host else SystemSampler({})
        self._times: StepTimes | None = None
        self._failure = "the training was not measured to its end"
        self._samples = Samples()
        self._is_over = False
        self._ended = 0.0
        self._workloads: dict[str, list[float]] = {}

    def __enter__(self) -> Profiler:
        """Start sampling the machine; the clock starts by itself with the training's first phase."""
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the measurement, whether or not the training succeeded."""
        self._end()

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        samples = self._sampler.stop()
        try:
            if has_cuda():
                torch.cuda.synchronize()
            self._times = self.clock.finish()
        except RuntimeError as error:  # such as a GPU that failed the training, too
            self._failure = str(error)
            return
        if self.clock.started is not None:
            self._ended = self.clock.started + self._times.total
            self._samples = samples.between(self.clock.started, self._ended)

    def gather(self, group: Group) -> None:
        """Stop the measurement, and exchange the hosts' utilisation between all processes, which must all call this."""
        self._end()
        if environment.hosts()[1] == 1:
            return
        for workloads in group.gather(self._own_workloads()):
            self._workloads |= workloads

    def measurements(self) -> Measurements:
        """Return what was measured until now.

        Raises:
            RuntimeError: the training is not over, or its end could not be measured.
        """
        if self._times is None:
            raise RuntimeError(self._failure)

        # the times before and after the training loop
        samples, values = self._samples, self._values
        since_start, failure = _seconds_since_start()
        if failure:
            samples = Samples(samples.times, samples.values, [*samples.failures, failure])
        now = time.perf_counter()
        started, ended = (self.clock.started, self._ended) if self.clock.started is not None else (now, now)

        # the threads that decode photos, where any do
        decodes = values.mode == "finetune"
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        streamed = environment.is_streamed(contract.Channel.DATASET)
        plan = plan_loader(batch_size=values.batch_size, image_size=values.image_size, streamed=streamed)

        return Measurements(
            mode=values.mode,
            epochs=values.epochs,
            batch_size=values.batch_size,
            instance_type=os.environ.get("SM_CURRENT_INSTANCE_TYPE", "local"),
            hosts=environment.hosts()[1],
            cpus=cores(),
            gpus=torch.cuda.device_count(),
            decoding_threads=plan.threads * processes if decodes else 0,
            initialization_seconds=max(since_start - (now - started), 0.0),
            steps=self._times,
            samples=samples,
            workloads=self._workloads or self._own_workloads(),
            export_seconds=now - ended,
        )

    def write(self, folder: Path) -> None:
        """Write `contract.Artefact.PROFILE`, with the profiler rules that the job's environment variables ask for.

        A failure is only logged: a model that is trained and tested is worth more than its profile.
        """
        try:
            seen = self.measurements()
            profile = profile_of(seen, rules=evaluate(requested(os.environ), seen))
            write_json(folder / contract.Artefact.PROFILE, profile)
        except Exception as error:
            print(f"no profile: {type(error).__name__}: {error}", flush=True)
            return
        print(_summary(profile), flush=True)

    def _own_workloads(self) -> dict[str, list[float]]:
        """Return the utilisation of each GPU of this host, or of its cores where it has no GPU."""
        host, values = environment.hosts()[0], self._samples.values
        gpus = {name: series for name, series in values.items() if name.startswith("gpu") and "memory" not in name}
        if len(gpus) > 1:
            del gpus["gpu"]  # the mean of the others
        busy = gpus or {name: series for name, series in values.items() if name == "cpu"}
        return {f"host {host} {name}": downsampled(series, limit=_SENT_SAMPLES) for name, series in busy.items()}


def profile_of(seen: Measurements, *, rules: list[contract.RuleResult]) -> contract.Profile:
    """Return the profile of a training: its measurements, summed up and downsampled, with recommendations."""
    steps, samples = seen.steps, seen.samples
    profile: contract.Profile = {
        # the machines, and how long the training took on them
        "instance_type": seen.instance_type,
        "hosts": seen.hosts,
        "cpus": seen.cpus,
        "gpus": seen.gpus,
        "seconds": steps.total,
        "initialization_seconds": seen.initialization_seconds,
        # where a step's time went
        "phases": [
            {"phase": name, "seconds": seconds, "share": seconds / steps.total if steps.total else 0.0}
            for name, seconds in steps.phases.items()
        ],
        "steps": _distribution(steps),
        "outliers": [
            {"step": step.step, "seconds": step.seconds, "phase": step.phase}
            for step in steps.slowest
            if step.seconds > steps.limit(_OUTLIER_DEVIATIONS)
        ],
        "step_seconds": downsampled(steps.seconds, limit=_SHOWN_STEPS),
        # how busy the machines were
        "utilization": [
            {
                "name": name,
                "unit": unit(name),
                "mean": float(np.mean(values)),
                "p95": float(np.percentile(values, 95)),
                "peak": max(values),
            }
            for name, values in samples.values.items()
            if values
        ],
        "timeline": {
            name: downsampled([round(value, 3) for value in values], limit=_SHOWN_SAMPLES)
            for name, values in {"seconds": samples.times, **samples.values}.items()
        },
        # what follows from it
        "recommendations": recommendations(seen),
        "rules": rules,
    }
    if samples.failures:
        profile["failures"] = samples.failures[:20]
    return profile


def _distribution(steps: StepTimes) -> contract.Distribution:
    median, p95, p99 = np.percentile(steps.seconds, (50, 95, 99)) if steps.seconds else (0.0, 0.0, 0.0)
    return {
        "steps": steps.steps,
        "mean": steps.mean,
        "deviation": steps.deviation,
        "median": float(median),
        "p95": float(p95),
        "p99": float(p99),
        "longest": steps.longest,
    }


def _seconds_since_start() -> tuple[float, str]:
    """Return the seconds since this process's start, and the reason where the system does not tell them."""
    try:
        import psutil

        return time.time() - psutil.Process().create_time(), ""
    except Exception as error:  # the library may be missing, or refused an answer by the system
        return 0.0, f"the process's start was not found: {error}"


def _summary(profile: contract.Profile) -> str:
    """Return the line of the job's log."""
    shares = sorted(profile["phases"], key=lambda phase: -phase["share"])
    told = ", ".join(f"{phase['phase']} {phase['share']:.0%}" for phase in shares if phase["share"] >= 0.01)
    advice = "; ".join(entry["title"] for entry in profile["recommendations"])
    return f"profile: {profile['steps']['steps']} steps in {profile['seconds']:.1f} s ({told}): {advice}"
