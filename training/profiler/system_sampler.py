"""Samples the machine twice a second in a thread while a training runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from training.profiler.downsampling import DownsampledSeries
from training.profiler.system_probes import Probe, probes

__all__ = ["INTERVAL", "Samples", "SystemSampler"]

INTERVAL: Final = 0.5
"""Seconds between two samples, as SageMaker's profiler takes them by default (`ProfilingIntervalInMilliseconds`)."""

_KEPT_SAMPLES: Final = 2**16
"""Nine hours of samples; a longer training keeps every second one, and so on."""

_PATIENCE: Final = 5.0
"""Seconds to wait for the last sample; a probe that hangs must not hold up the training's end."""


@dataclass(frozen=True)
class Samples:
    """Samples of a machine. Every list is as long as `times`."""

    times: list[float] = field(default_factory=list)
    """`time.perf_counter()` at the end of the half second that a sample covers."""
    values: dict[str, list[float]] = field(default_factory=dict)
    """The values by the names of `system_probes`."""
    failures: list[str] = field(default_factory=list)
    """What could not be sampled, and why."""

    def between(self, start: float, end: float) -> Samples:
        """Return the samples from one moment of `time.perf_counter()` to another, with times since the first moment.

        The last sample is the first one after the end, since it covers the end too.
        """
        first = sum(at <= start for at in self.times)
        stop = min(sum(at < end for at in self.times) + 1, len(self.times))
        return Samples(
            times=[at - start for at in self.times[first:stop]],
            values={name: values[first:stop] for name, values in self.values.items()},
            failures=self.failures,
        )


class SystemSampler:
    """A thread that samples the machine from `start` to `stop`. It never raises and never keeps the process alive.

    A probe that fails is not asked again, and its values are left out: half of a series would look like the whole.
    """

    def __init__(
        self,
        makers: Mapping[str, Callable[[], Probe]] | None = None,
        *,
        interval: float = INTERVAL,
    ):
        self._makers = probes() if makers is None else makers
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system sampler", daemon=True)
        self._lock = threading.Lock()
        self._probes: dict[str, Probe] = {}
        self._names: dict[str, set[str]] = {}
        self._times = DownsampledSeries(_KEPT_SAMPLES)
        self._values: dict[str, DownsampledSeries] = {}
        self._failures: list[str] = []

    def start(self) -> None:
        """Start sampling."""
        self._thread.start()

    def stop(self) -> Samples:
        """Take a last sample, stop, and return all samples."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)
        with self._lock:
            failures = list(self._failures)
            if self._thread.is_alive():
                failures.append(f"the last sample took more than {_PATIENCE:g} s and is missing")
            return Samples(
                times=self._times.kept,
                values={name: values.kept for name, values in self._values.items()},
                failures=failures,
            )

    def _run(self) -> None:
        for what, make in self._makers.items():
            try:
                self._probes[what] = make()
            except Exception as error:
                self._failed(what, error)

        # sample at the interval until the end
        before = time.perf_counter()
        while not self._ended.wait(max(before + self._interval - time.perf_counter(), 0.0)):
            before = time.perf_counter()
            self._sample()

        # Counters tick a hundred times a second, so they say nothing about a short rest of an interval.
        if time.perf_counter() - before > self._interval / 2 or not self._times.kept:
            self._sample()

    def _sample(self) -> None:
        sample: dict[str, float] = {}
        for what, probe in list(self._probes.items()):
            try:
                values = probe()
                if set(values) != self._names.setdefault(what, set(values)):
                    raise ValueError(f"it returned {sorted(values)}, and before {sorted(self._names[what])}")
            except Exception as error:
                self._failed(what, error)
                continue
            sample |= values
        with self._lock:
            for name, value in sample.items():
                self._values.setdefault(name, DownsampledSeries(_KEPT_SAMPLES)).append(value)
            self._times.append(time.perf_counter())

    def _failed(self, what: str, error: Exception) -> None:
        """Note the failure, and drop the probe with its values. The training goes on."""
        with self._lock:
            self._failures.append(f"{what} were not sampled: {type(error).__name__}: {error}")
            for name in self._names.get(what, ()):
                self._values.pop(name, None)
        self._probes.pop(what, None)
