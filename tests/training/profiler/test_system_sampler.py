"""The samples of the machine, and that sampling never harms the training."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from training.profiler import system_probes
from training.profiler.system_probes import Disks, Gpus, Network, Probe, Processes, Processors, probes, unit
from training.profiler.system_sampler import Samples, SystemSampler


def sampled_machine(makers: dict[str, Callable[[], Probe]], *, samples: int = 3) -> Samples:
    """Return the first samples of a sampler with such probes."""
    enough = threading.Event()
    taken = 0

    def counting() -> dict[str, float]:
        nonlocal taken
        taken += 1
        if taken >= samples:
            enough.set()
        return {"count": float(taken)}

    sampler = SystemSampler({**makers, "count": lambda: counting}, interval=0.01)
    sampler.start()
    assert enough.wait(10), "the sampler does not sample"
    return sampler.stop()


def test_the_real_machine_is_seen() -> None:
    sampler = SystemSampler(interval=0.05)
    sampler.start()
    time.sleep(0.3)
    samples = sampler.stop()
    assert samples.failures == []
    assert {"cpu", "cpu_busiest", "memory", "disk_read", "network_sent", "process_cpu", "process_memory"} <= set(
        samples.values
    )
    assert len(samples.times) >= 2
    assert {len(values) for values in samples.values.values()} == {len(samples.times)}
    assert samples.times == sorted(samples.times)
    for name, values in samples.values.items():
        assert all(0 <= value <= (100 if unit(name) == "%" else 1e6) for value in values), name


def test_even_the_shortest_training_has_a_sample() -> None:
    sampler = SystemSampler(interval=60)
    sampler.start()
    assert len(sampler.stop().times) == 1


def test_a_sampler_that_was_never_started_saw_nothing() -> None:
    assert SystemSampler({}).stop() == Samples()


def test_a_probe_that_cannot_be_made_is_reported_and_the_others_go_on() -> None:
    def broken() -> Probe:
        raise ImportError("No module named 'pynvml'")

    samples = sampled_machine({"GPUs": broken, "memory": lambda: lambda: {"memory": 1.0}})
    assert samples.failures == ["GPUs were not sampled: ImportError: No module named 'pynvml'"]
    assert len(samples.values["memory"]) == len(samples.times) >= 3


def test_a_probe_that_fails_on_the_way_is_left_out_whole() -> None:
    answers = iter([{"disk_read": 1.0}])

    def disks() -> dict[str, float]:
        return next(answers, None) or fail()

    def fail() -> dict[str, float]:
        raise OSError("the disk is gone")

    samples = sampled_machine({"disks": lambda: disks})
    assert samples.failures == ["disks were not sampled: OSError: the disk is gone"]
    assert set(samples.values) == {"count"}


def test_a_probe_that_changes_its_mind_is_left_out() -> None:
    answers = iter([{"a": 1.0}])
    samples = sampled_machine({"disks": lambda: lambda: next(answers, {"b": 1.0})})
    assert set(samples.values) == {"count"}
    assert "['b']" in samples.failures[0]


def test_psutil_failing_fails_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise psutil.AccessDenied(1)

    for name in ("cpu_times", "virtual_memory", "disk_io_counters", "net_io_counters", "Process"):
        monkeypatch.setattr(psutil, name, refused)
    sampler = SystemSampler(interval=0.01)
    sampler.start()
    samples = sampler.stop()
    assert samples.values == {}
    assert len(samples.failures) == 5


def test_a_probe_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.profiler.system_sampler._PATIENCE", 0.05)
    release = threading.Event()

    def hanging() -> dict[str, float]:
        release.wait(30)
        return {"disk_read": 0.0}

    sampler = SystemSampler({"disks": lambda: hanging}, interval=0.01)
    sampler.start()
    samples = sampler.stop()
    release.set()
    assert "missing" in samples.failures[0]


def test_what_was_before_and_after_the_training_is_left_out() -> None:
    samples = Samples(times=[1.0, 2.0, 3.0, 4.0], values={"cpu": [10, 20, 30, 40]}, failures=["no disks"])
    assert samples.between(1.5, 2.5) == Samples(times=[0.5, 1.5], values={"cpu": [20, 30]}, failures=["no disks"])
    assert samples.between(1.5, 9).times == [0.5, 1.5, 2.5]
    assert samples.between(1.2, 1.3).values["cpu"] == [20]  # a training of a moment


def cpu_times(**seconds: float) -> Any:
    class Core(tuple[float, ...]):
        def __getattr__(self, name: str) -> float:
            return {"idle": 0.0, "iowait": 0.0, "guest": 0.0, "guest_nice": 0.0, **seconds}[name]

    return Core(seconds.values())


def test_waiting_for_disks_is_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(
        [
            [cpu_times(user=0, idle=0, iowait=0, guest=0), cpu_times(user=0, idle=0, iowait=0, guest=0)],
            # A second later: core 0 worked half of it, for a guest machine, and core 1 waited for a disk all the time.
            [cpu_times(user=0.5, idle=0.5, iowait=0, guest=0.5), cpu_times(user=0, idle=0, iowait=1, guest=0)],
        ]
    )
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: next(looks))
    monkeypatch.setattr(psutil, "LINUX", True)
    monkeypatch.setattr(system_probes, "_usable_cores", lambda: [0, 1])
    values = Processors()()
    assert values == pytest.approx({"cpu": 25, "cpu_busiest": 50, "io_wait": 50, "cpu0": 50, "cpu1": 0})


def test_a_system_without_io_wait_tells_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "LINUX", False)
    assert "io_wait" not in Processors()()


def test_disks_and_network_are_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 0.0, 2.0])
    monkeypatch.setattr(system_probes, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    read = iter([0, 30_000_000])
    monkeypatch.setattr(
        psutil, "disk_io_counters", lambda: SimpleNamespace(read_bytes=next(read), write_bytes=5_000_000)
    )
    assert Disks()() == pytest.approx({"disk_read": 15, "disk_write": 0})
    sent = iter([0, 8_000_000])
    monkeypatch.setattr(
        psutil,
        "net_io_counters",
        lambda pernic: {
            "eth0": SimpleNamespace(bytes_recv=7, bytes_sent=next(sent)),
            "lo": SimpleNamespace(bytes_recv=time.monotonic_ns(), bytes_sent=time.monotonic_ns()),
        },
    )
    assert Network()() == pytest.approx({"network_received": 0, "network_sent": 4})


def test_a_machine_that_shows_no_disks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    with pytest.raises(OSError, match="no disk"):
        Disks()


def test_the_work_of_loader_workers_is_this_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", "while True: pass"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        processes = Processes()
        own = psutil.Process().cpu_times()
        before = own.user + own.system
        begin = time.perf_counter()
        child = psutil.Process(worker.pid)
        while sum(child.cpu_times()[:2]) < 0.3:  # until it has worked, however busy the machine is
            time.sleep(0.02)
        share = processes()["process_cpu"] / 100
        own = psutil.Process().cpu_times()
        alone = (own.user + own.system - before) / (time.perf_counter() - begin) / len(system_probes._usable_cores())
        assert share > alone
    finally:
        worker.kill()
        worker.wait()
    assert processes()["process_memory"] > 0  # its end is no failure


class Nvml:
    """A stand-in for NVIDIA's library on a machine with some GPUs."""

    def __init__(self, *gpus: tuple[int, int]):
        self.gpus = gpus

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> tuple[int, int]:  # noqa: N802
        return self.gpus[number]

    def nvmlDeviceGetUtilizationRates(self, gpu: tuple[int, int]) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=gpu[0], memory=99)

    def nvmlDeviceGetMemoryInfo(self, gpu: tuple[int, int]) -> Any:  # noqa: N802
        return SimpleNamespace(used=gpu[1], total=1000)


def test_each_gpu_is_seen_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml((80, 500), (20, 100)))
    assert Gpus()() == pytest.approx(
        {"gpu": 50, "gpu_memory": 30, "gpu0": 80, "gpu1": 20, "gpu0_memory": 50, "gpu1_memory": 10}
    )
    monkeypatch.setitem(sys.modules, "pynvml", Nvml((80, 500)))
    assert Gpus()() == pytest.approx({"gpu": 80, "gpu_memory": 50})


def test_a_library_that_shows_no_gpu_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    with pytest.raises(OSError, match="no GPU"):
        Gpus()


def test_gpus_are_asked_for_only_where_torch_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "GPUs" not in probes()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert probes()["GPUs"] is Gpus


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cpu", "%"), ("gpu0_memory", "%"), ("io_wait", "%"), ("disk_read", "MB/s"), ("process_memory", "GB")],
)
def test_every_value_has_its_unit(name: str, expected: str) -> None:
    assert unit(name) == expected
