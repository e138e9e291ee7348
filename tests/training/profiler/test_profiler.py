"""The profile of small, real trainings, and what it says when something fails."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_type_hints

import psutil
import pytest
import torch

import contract
from tests.training.conftest import Workspace
from tests.training.profile_fixtures import measurements, sampled, timed
from training import features, train
from training.data.manifest import read_photo
from training.loop import finetune
from training.loop.instrumented import instrumented_training
from training.profiler.profiler import Profiler, profile_of
from training.profiler.system_sampler import Samples
from training.runtime import environment
from training.runtime.distributed import Group
from training.runtime.observer import Observer

ROOT = Path(__file__).parents[3]


def read(folder: Path) -> contract.Profile:
    profile: contract.Profile = json.loads((folder / contract.Artefact.PROFILE).read_text(encoding="utf-8"))
    return profile


def shares(profile: contract.Profile) -> dict[str, float]:
    return {entry["phase"]: entry["share"] for entry in profile["phases"]}


def take_steps(observer: Observer, *, steps: int = 3, wait: float = 0.0) -> None:
    for _ in range(steps):
        with observer.phase("data"):
            time.sleep(wait)
        with observer.phase("forward"):
            torch.rand(100, 100) @ torch.rand(100, 100)
        observer.end_step(loss=torch.zeros(()), logits=torch.zeros(1, 2), labels=torch.zeros(1))


@pytest.fixture
def hyperparameters() -> contract.Hyperparameters:
    return contract.Hyperparameters(mode="finetune", batch_size=8, epochs=1)


@pytest.fixture
def trained(workspace: Workspace) -> Workspace:
    """A workspace in which `train.main` can run in either mode."""
    workspace.fill(each=20)
    workspace.write_weights()
    workspace.start(channels=("dataset", "manifest", "weights"), model="features")
    features.main()
    return workspace


@pytest.mark.parametrize("mode", ["features", "finetune"])
def test_the_best_trial_training_leaves_a_profile(
    trained: Workspace, mode: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SM_CURRENT_INSTANCE_TYPE", "ml.c5.2xlarge")
    channels = ("features", "dataset", "manifest", "weights")
    trained.start(channels=channels, learning_rate=0.03, batch_size=16, mode=mode, epochs=3, quantize=False)
    train.main()
    profile = read(trained.root / "output")
    assert set(profile) == set(get_type_hints(contract.Profile)) - {"failures"}
    steps = profile["steps"]["steps"]
    assert steps == 3 * (3 if mode == "features" else 2)  # 36 photos; fine-tuning leaves a quarter of a batch out
    assert len(profile["step_seconds"]) == steps
    assert sum(shares(profile).values()) == pytest.approx(1)
    assert {entry["phase"] for entry in profile["phases"]} == {*contract.PHASES, "other"}
    for phase in ("data", "forward", "backward", "optimizer", "validation"):
        assert shares(profile)[phase] > 0, phase
    assert profile["instance_type"] == "ml.c5.2xlarge"
    assert profile["initialization_seconds"] > 0
    names = [entry["name"] for entry in profile["utilization"]]
    assert {"cpu", "memory", "process_memory"} <= set(names)
    assert set(profile["timeline"]) == {"seconds", *names}
    assert len({len(values) for values in profile["timeline"].values()}) == 1
    assert profile["recommendations"]
    assert profile["rules"] == []
    assert f"profile: {steps} steps" in capsys.readouterr().out


def test_photos_that_come_slowly_are_seen(trained: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:

    def slow(root: Path, path: str) -> bytes:
        time.sleep(0.2)  # in the first epoch alone: later ones read decoded photos
        return read_photo(root, path)

    monkeypatch.setattr("training.data.loader.read_photo", slow)
    for rule in ("Dataloader", "ProfilerReport", "CPUBottleneck"):
        monkeypatch.setenv(contract.rule_variable(rule), "{}")
    channels = ("dataset", "manifest", "weights")
    trained.start(channels=channels, learning_rate=0.03, batch_size=16, mode="finetune", epochs=2)
    profiler = Profiler(environment.hyperparameters())
    finetune.train(environment.hyperparameters(), profiler=profiler)
    profiler.write(environment.output_dir())
    profile = read(trained.root / "output")
    assert shares(profile)["data"] > 0.3
    assert "loader workers" in profile["recommendations"][0]["title"] or (
        "cores" in profile["recommendations"][0]["title"]
    )
    results = {result["rule"]: result["status"] for result in profile["rules"]}
    assert results == {"Dataloader": "IssuesFound", "ProfilerReport": "IssuesFound", "CPUBottleneck": "NotApplicable"}


def test_the_profile_names_outliers_and_thins_long_lists() -> None:
    steps: Any = [{"data": 0.01, "forward": 0.1} for _ in range(5000)]
    for number in range(30):
        steps[100 * number] = {"data": 1 + number / 100, "forward": 0.1}
    seen = measurements(steps=timed(steps), samples=sampled(2500, cpu=50.123456, process_memory=2))
    profile = profile_of(seen, rules=[])
    assert [entry["step"] for entry in profile["outliers"]] == [100 * number for number in range(29, 9, -1)]
    assert {entry["phase"] for entry in profile["outliers"]} == {"data"}
    assert len(profile["step_seconds"]) <= 2000
    assert {len(values) for values in profile["timeline"].values()} == {834}
    assert profile["timeline"]["cpu"][0] == 50.123
    distribution = profile["steps"]
    assert distribution["median"] == pytest.approx(0.11)
    assert distribution["median"] <= distribution["p95"] <= distribution["p99"] <= distribution["longest"]
    assert [entry["unit"] for entry in profile["utilization"]] == ["%", "GB"]


def test_a_healthy_profile_has_no_outliers() -> None:
    assert profile_of(measurements(), rules=[])["outliers"] == []


def test_what_could_not_be_watched_is_in_the_profile() -> None:
    failing = measurements(samples=Samples(failures=["disks were not sampled: OSError: gone"]))
    profile = profile_of(failing, rules=[])
    assert profile["failures"] == ["disks were not sampled: OSError: gone"]
    assert profile["utilization"] == []


def test_the_time_before_and_after_the_training_is_told_apart(hyperparameters: contract.Hyperparameters) -> None:
    profiler = Profiler(hyperparameters)
    with instrumented_training(hyperparameters, profiler=profiler) as observer:
        take_steps(observer)
    first = profiler.measurements()
    time.sleep(0.05)
    later = profiler.measurements()
    assert later.export_seconds >= first.export_seconds + 0.05
    assert later.initialization_seconds == pytest.approx(first.initialization_seconds, abs=0.02)
    assert later.steps == first.steps


def test_psutil_failing_leaves_a_profile_that_says_so(
    hyperparameters: contract.Hyperparameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise psutil.AccessDenied(1)

    for name in ("cpu_times", "virtual_memory", "disk_io_counters", "net_io_counters", "Process"):
        monkeypatch.setattr(psutil, name, refused)
    monkeypatch.setenv(contract.rule_variable("OverallSystemUsage"), "{}")
    profiler = Profiler(hyperparameters)
    with instrumented_training(hyperparameters, profiler=profiler) as observer:
        take_steps(observer)
    profiler.write(tmp_path)
    profile = read(tmp_path)
    assert profile["steps"]["steps"] == 3
    assert profile["utilization"] == []
    assert any("processors were not sampled" in failure for failure in profile.get("failures", []))
    assert any("start was not found" in failure for failure in profile.get("failures", []))
    assert profile["rules"][0]["status"] == "NotApplicable"


def test_a_profile_without_psutil_tells_of_the_steps_alone(
    hyperparameters: contract.Hyperparameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    profiler = Profiler(hyperparameters)
    with instrumented_training(hyperparameters, profiler=profiler) as observer:
        take_steps(observer)
    profiler.write(tmp_path)
    profile = read(tmp_path)
    assert (profile["steps"]["steps"], profile["utilization"]) == (3, [])
    assert sum("psutil" in failure for failure in profile["failures"]) == 6  # five probes, and the process's start


def test_what_only_watches_is_not_needed_to_train() -> None:
    """smdebug is imported where the job asks for a hook, psutil and NVIDIA's library where a training is profiled."""
    program = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(('smdebug', 'psutil', 'pynvml'))\n"
        "import training.trial\n"
        "assert not {'training.profiler.profiler', 'training.loop.finetune'} & sys.modules.keys()\n"
        "import training.loop.finetune, training.train\n"
        "print('imported')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "imported\n", done.stderr


def test_a_profile_that_cannot_be_written_fails_no_training(
    hyperparameters: contract.Hyperparameters, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profiler = Profiler(hyperparameters)
    with instrumented_training(hyperparameters, profiler=profiler) as observer:
        take_steps(observer)
    profiler.write(tmp_path / "not there")
    assert "no profile: FileNotFoundError" in capsys.readouterr().out


def test_a_failing_training_fails_with_its_own_error(hyperparameters: contract.Hyperparameters) -> None:
    profiler = Profiler(hyperparameters)

    def fails() -> None:
        with instrumented_training(hyperparameters, profiler=profiler) as observer:
            take_steps(observer, steps=2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert profiler.measurements().steps.steps == 2


def test_a_training_without_steps_has_a_profile_too(hyperparameters: contract.Hyperparameters, tmp_path: Path) -> None:
    profiler = Profiler(hyperparameters)
    with instrumented_training(hyperparameters, profiler=profiler):
        pass
    profiler.write(tmp_path)
    assert read(tmp_path)["steps"]["steps"] == 0


def test_a_profiler_that_was_not_stopped_writes_nothing(
    hyperparameters: contract.Hyperparameters, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Profiler(hyperparameters).write(tmp_path)
    assert "not measured to its end" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_only_the_first_process_of_a_host_looks_at_the_machine(
    hyperparameters: contract.Hyperparameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    profiler = Profiler(hyperparameters)
    with instrumented_training(hyperparameters, profiler=profiler) as observer:
        take_steps(observer)
    seen = profiler.measurements()
    assert seen.samples.values == {}
    assert seen.workloads == {}
    assert seen.steps.steps == 3


class TwoHosts(Group):
    """The main process sees both hosts; the other one's cores idle."""

    def gather(self, thing: Any) -> list[Any]:
        return [thing, {name.replace("host 0", "host 1"): [1.0] * len(values) for name, values in thing.items()}]


def test_every_host_is_known_to_the_leader(
    hyperparameters: contract.Hyperparameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SM_HOSTS", '["algo-1", "algo-2"]')
    monkeypatch.setenv("SM_CURRENT_HOST", "algo-1")
    profiler = Profiler(hyperparameters)
    with instrumented_training(hyperparameters, profiler=profiler) as observer:
        take_steps(observer)
        profiler.gather(TwoHosts(rank=0, size=2, device=torch.device("cpu")))
        steps = profiler.measurements().steps
        time.sleep(0.02)
    assert profiler.measurements().steps == steps  # what comes after is no part of the training
    workloads = profiler.measurements().workloads
    assert set(workloads) == {"host 0 cpu", "host 1 cpu"}
    assert set(workloads["host 1 cpu"]) == {1.0}
