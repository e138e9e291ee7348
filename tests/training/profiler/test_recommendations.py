"""Each recommendation is given where it applies, and never without a number."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.training.profile_fixtures import measurements, sampled, timed
from training.profiler.measurements import Measurements
from training.profiler.recommendations import recommendations
from training.profiler.system_sampler import Samples

STARVED = timed([{"data": 0.8, "forward": 0.1, "backward": 0.1}] * 100)
LONG = timed([{"data": 0.01, "forward": 4.0, "backward": 8.0, "optimizer": 0.1}] * 700)


def titles(seen: Measurements) -> list[str]:
    found = recommendations(seen)
    assert found
    for entry in found:
        assert re.search(r"\d", entry["evidence"]), entry
        assert entry["advice"]
    return [entry["title"] for entry in found]


def test_a_healthy_training_is_told_so() -> None:
    (only,) = recommendations(measurements())
    assert only["title"] == "Nothing to do"
    assert "backward 61%" in only["evidence"]
    assert "the CPU was 92 % busy" in only["evidence"]


def test_a_starved_training_on_idle_cores_wants_more_workers() -> None:
    (first, *_) = recommendations(measurements(steps=STARVED, samples=sampled(cpu=20, io_wait=40, disk_read=3)))
    assert first["title"] == "More loader workers, or faster storage"
    assert "80.0 s, 80% of the steps' time" in first["evidence"]
    assert "2 threads decode on 8 cores" in first["evidence"]
    assert "40 % of the cores' time was waiting for disks" in first["evidence"]
    assert "mode=features" in first["advice"]


def test_a_starved_training_on_busy_cores_wants_more_cores() -> None:
    assert titles(measurements(steps=STARVED))[0] == "More cores for decoding"


def test_waiting_that_costs_nothing_is_not_worth_a_word() -> None:
    quick = timed([{"data": 0.0008, "forward": 0.0002}] * 100)
    assert titles(measurements(steps=quick)) == ["Nothing to do"]


def test_a_head_that_trains_in_seconds_needs_no_large_machine() -> None:
    seen = measurements(
        mode="features",
        decoding_threads=0,
        steps=timed([{"data": 0.001, "forward": 0.001, "backward": 0.002}] * 500),
        samples=sampled(4, cpu=60, memory=20, process_memory=1.5),
    )
    (only,) = recommendations(seen)
    assert only["title"] == "A smaller instance would do"
    assert "2.0 s of the job's 34 s (6%)" in only["evidence"]
    assert "12 s went by before the first step" in only["evidence"]
    assert "20 s after the training" in only["evidence"]
    assert "1.5 GB" in only["evidence"]


def test_a_head_that_waits_for_its_features_needs_memory() -> None:
    seen = measurements(mode="features", decoding_threads=0, steps=timed([{"data": 0.8, "forward": 0.2}] * 100))
    assert titles(seen) == ["Features come slower than the head learns"]


@pytest.mark.parametrize(("memory", "advice"), [(30.0, "Larger batches"), (90.0, "A smaller GPU instance would do")])
def test_an_idle_gpu(memory: float, advice: str) -> None:
    assert titles(measurements(gpus=1, samples=sampled(cpu=60, memory=30, gpu=30, gpu_memory=memory))) == [advice]


def test_a_gpu_that_waits_for_photos_does_not_want_larger_batches() -> None:
    seen = measurements(gpus=1, steps=STARVED, samples=sampled(cpu=95, memory=30, gpu=15, gpu_memory=40))
    assert titles(seen) == ["More cores for decoding"]


def test_a_saturated_gpu_with_long_epochs_wants_company() -> None:
    samples = sampled(cpu=60, memory=30, gpu=97, gpu_memory=85)
    assert titles(measurements(gpus=1, steps=LONG, samples=samples)) == ["More GPUs"]
    assert titles(measurements(gpus=1, samples=samples)) == ["Nothing to do"]  # epochs of half a minute


def test_a_network_trained_on_a_cpu_for_long_wants_a_gpu() -> None:
    assert titles(measurements(steps=LONG)) == ["A GPU instance"]


def test_an_idle_machine_may_be_smaller() -> None:
    assert titles(measurements(samples=sampled(cpu=22, memory=12))) == ["A smaller instance would do"]


def test_of_a_machine_seen_for_a_moment_nothing_is_said() -> None:
    assert titles(measurements(samples=sampled(5, cpu=22, memory=12))) == ["Nothing to do"]


def test_full_memory() -> None:
    assert titles(measurements(samples=sampled(cpu=92, memory=96))) == ["More memory"]


def test_steps_that_lose_much_time_are_named_with_their_phase() -> None:
    steps: Any = [{"data": 0.01, "forward": 0.2} for _ in range(500)]
    steps[77] = {"data": 30.0, "forward": 0.2}
    (first, *_) = recommendations(measurements(steps=timed(steps)))
    assert first["title"] == "A few steps are far slower than the others"
    assert "mostly in data; the slowest is step 77 with 30.20 s" in first["evidence"]
    assert "photos sometimes come late" in first["advice"]


def test_saving_and_validation_that_take_long() -> None:
    saving = timed([{"data": 0.01, "forward": 0.2, "saving": 0.1}] * 100)
    assert titles(measurements(steps=saving)) == ["Save tensors less often"]
    validation = timed([{"data": 0.01, "forward": 0.2, "validation": 1.0}] * 100)
    assert titles(measurements(steps=validation)) == ["Fewer validation photos"]


def test_a_machine_that_could_not_be_watched_is_not_judged() -> None:
    assert titles(measurements(gpus=1, steps=LONG, samples=Samples(failures=["nothing"]))) == ["Nothing to do"]


def test_a_training_without_a_step() -> None:
    assert titles(measurements(steps=timed([]), mode="features")) == ["Nothing to do"]
