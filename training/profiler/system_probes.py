"""Probes of a machine's cores, memory, disks, network and GPUs, and of this training's part in it.

A probe is called again and again and returns values for the time since the call before. It imports its library when it
is made, so that a missing library costs the probe and not the training.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from training.runtime.machine import has_cuda

if TYPE_CHECKING:
    import psutil

__all__ = ["Disks", "Gpus", "Memory", "Network", "Probe", "Processes", "Processors", "probes", "unit"]

Probe = Callable[[], dict[str, float]]
"""Returns values by name, with the same names each time; `unit` gives their unit."""

_MEGABYTE: Final = 1e6
_GIGABYTE: Final = 1e9

_SHOWN_CORES: Final = 16
"""The most cores that are shown one by one; on a larger machine the many lines would hide each other."""

_GUEST: Final = ("guest", "guest_nice")

_CHILDREN_KEPT: Final = 10
"""Samples between two searches for new child processes, each of which reads every process of the machine."""


def unit(name: str) -> str:
    """Return the unit of a probe's value."""
    if name.startswith(("disk_", "network_")):
        return "MB/s"
    return "GB" if name == "process_memory" else "%"


def probes() -> dict[str, Callable[[], Probe]]:
    """Return the constructors of all probes that this machine can have, by what they sample."""
    made: dict[str, Callable[[], Probe]] = {
        "processors": Processors,
        "memory": Memory,
        "disks": Disks,
        "network": Network,
        "processes": Processes,
    }
    if has_cuda():
        made["GPUs"] = Gpus
    return made


class Processors:
    """The utilisation of the cores that this process may use.

    `cpu` is that of all cores, `cpu_busiest` that of the busiest one, and `cpu0` and so on that of each, on machines of
    up to 16. `io_wait` (Linux only) is the share of time in which cores had nothing to do but wait for a disk.
    """

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil
        self._cores = _usable_cores()
        self._before = self._times()

    def __call__(self) -> dict[str, float]:
        """Return the values by name."""
        now = self._times()
        busy, waiting, whole = [], 0.0, 0.0
        for (idle, wait, total), (idle_before, wait_before, total_before) in zip(now, self._before, strict=True):
            passed = max(total - total_before, 1e-9)
            busy.append(_percent(1 - (idle - idle_before + wait - wait_before) / passed))
            waiting += wait - wait_before
            whole += passed
        self._before = now
        values = {"cpu": sum(busy) / len(busy), "cpu_busiest": max(busy)}
        if self._psutil.LINUX:
            values["io_wait"] = _percent(waiting / whole)
        if 1 < len(busy) <= _SHOWN_CORES:
            values |= {f"cpu{core}": value for core, value in zip(self._cores, busy, strict=True)}
        return values

    def _times(self) -> list[tuple[float, float, float]]:
        """Return the seconds since the machine's start that each core was idle, waited for disks, and had in all."""
        times = self._psutil.cpu_times(percpu=True)
        # Linux counts a virtual machine's time in its host's `user` and `nice`, and a second time as `guest`.
        return [
            (
                core.idle,
                getattr(core, "iowait", 0.0),
                sum(core) - sum(getattr(core, name, 0.0) for name in _GUEST),
            )
            for core in (times[number] for number in self._cores)
        ]


class Memory:
    """The memory that is no longer available to programs, as `memory`."""

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil

    def __call__(self) -> dict[str, float]:
        """Return the values by name."""
        return {"memory": self._psutil.virtual_memory().percent}


class _Rates:
    """The growth of counters a second."""

    def __init__(self, counters: Callable[[], Mapping[str, float]]):
        self._counters = counters
        self._before, self._at = counters(), time.perf_counter()

    def __call__(self) -> dict[str, float]:
        """Return the values by name."""
        now, at = self._counters(), time.perf_counter()
        passed = max(at - self._at, 1e-9)
        rates = {name: max(value - self._before.get(name, value), 0.0) / passed for name, value in now.items()}
        self._before, self._at = now, at
        return rates


class Disks(_Rates):
    """The traffic of all disks, as `disk_read` and `disk_write`."""

    def __init__(self) -> None:
        super().__init__(self._read)

    @staticmethod
    def _read() -> dict[str, float]:
        import psutil

        counters = psutil.disk_io_counters()
        if counters is None:
            raise OSError("the system shows no disk's counters")
        return {"disk_read": counters.read_bytes / _MEGABYTE, "disk_write": counters.write_bytes / _MEGABYTE}


class Network(_Rates):
    """The traffic of all interfaces except loopback, as `network_received` and `network_sent`."""

    def __init__(self) -> None:
        super().__init__(self._read)

    @staticmethod
    def _read() -> dict[str, float]:
        import psutil

        received = sent = 0
        for name, counters in psutil.net_io_counters(pernic=True).items():
            if not name.startswith("lo"):
                received, sent = received + counters.bytes_recv, sent + counters.bytes_sent
        return {"network_received": received / _MEGABYTE, "network_sent": sent / _MEGABYTE}


class Processes:
    """What this process and its children, such as loader workers, use.

    `process_cpu` is their share of all cores together. `process_memory` counts memory that processes share for each of
    them.
    """

    def __init__(self) -> None:
        import psutil

        self._gone = psutil.NoSuchProcess
        self._self = psutil.Process()
        self._cores = len(_usable_cores())
        self._family: list[psutil.Process] = []
        self._calls = 0
        self._used: dict[int, float] = {}
        self._at = time.perf_counter()
        self._usage()

    def __call__(self) -> dict[str, float]:
        """Return the values by name."""
        spent, memory = self._usage()
        at = time.perf_counter()
        passed, self._at = max(at - self._at, 1e-9), at
        return {"process_cpu": _percent(spent / passed / self._cores), "process_memory": memory / _GIGABYTE}

    def _usage(self) -> tuple[float, float]:
        """Return the CPU seconds since the call before, and the bytes of memory now."""
        if self._calls % _CHILDREN_KEPT == 0:
            self._family = [self._self, *self._self.children(recursive=True)]
        self._calls += 1
        spent, memory, used = 0.0, 0.0, {}
        for process in self._family:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
            except self._gone:  # a child has ended
                continue
            used[process.pid] = times.user + times.system
            spent += used[process.pid] - self._used.get(process.pid, used[process.pid])
        self._used = used
        return spent, memory


class Gpus:
    """The utilisation and the memory of NVIDIA's GPUs.

    `gpu` and `gpu_memory` are means over the GPUs. Where there are several, `gpu0`, `gpu0_memory` and so on are those
    of each. Utilisation is the share of time in which at least one kernel ran. Memory in use includes what PyTorch's
    allocator keeps for later.
    """

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._nvml: Any = pynvml
        self._gpus = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        if not self._gpus:
            raise OSError("NVIDIA's management library shows no GPU")

    def __call__(self) -> dict[str, float]:
        """Return the values by name."""
        work = [float(self._nvml.nvmlDeviceGetUtilizationRates(gpu).gpu) for gpu in self._gpus]
        memory = []
        for gpu in self._gpus:
            info = self._nvml.nvmlDeviceGetMemoryInfo(gpu)
            memory.append(100 * info.used / info.total)
        values = {"gpu": sum(work) / len(work), "gpu_memory": sum(memory) / len(memory)}
        if len(work) > 1:
            values |= {f"gpu{number}": value for number, value in enumerate(work)}
            values |= {f"gpu{number}_memory": value for number, value in enumerate(memory)}
        return values


def _usable_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _percent(share: float) -> float:
    return min(max(100 * share, 0.0), 100.0)
