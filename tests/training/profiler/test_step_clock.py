"""The clock of a training's phases, with a fake timer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from training.profiler.downsampling import DownsampledSeries, downsampled
from training.profiler.step_clock import CpuTimer, CudaTimer, StepClock, StepTimes, timer_of
from training.runtime.observer import Observer


class Time:
    """A time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def passes(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def now() -> Time:
    return Time()


@pytest.fixture
def clock(now: Time) -> StepClock[float]:
    return StepClock(CpuTimer(now))


def take_step(clock: StepClock[float], now: Time, *, data: float = 0.1, forward: float = 0.2) -> None:
    with clock.phase("data"):
        now.passes(data)
    with clock.phase("forward"):
        now.passes(forward)
    clock.end_step()


def test_every_second_is_one_phases_and_only_one(clock: StepClock[float], now: Time) -> None:
    with clock.phase("data"):
        now.passes(1)
        with clock.phase("transfer"):
            now.passes(2)
        now.passes(4)
    now.passes(8)
    with clock.phase("forward"):
        now.passes(16)
    clock.end_step()
    times = clock.finish()
    assert {name: seconds for name, seconds in times.phases.items() if seconds} == {
        "data": 5,
        "transfer": 2,
        "forward": 16,
        "other": 8,
    }
    assert times.total == 31


def test_time_before_the_first_phase_is_nobodys(clock: StepClock[float], now: Time) -> None:
    before = clock.started
    now.passes(1000)
    take_step(clock, now)
    assert before is None
    assert clock.started is not None
    assert clock.finish().total == pytest.approx(0.3)


def test_a_steps_own_time_is_without_validation_saving_and_the_epochs_end(clock: StepClock[float], now: Time) -> None:
    take_step(clock, now)
    with clock.phase("validation"):
        now.passes(50)
        with clock.phase("saving"):
            now.passes(60)
    now.passes(70)  # results are printed
    with clock.phase("saving"):
        now.passes(80)
    now.passes(90)
    take_step(clock, now)
    times = clock.finish()
    assert times.seconds == pytest.approx([0.3, 0.3])
    assert times.longest == pytest.approx(0.3)
    assert times.phases["validation"] == pytest.approx(50)
    assert times.phases["saving"] == pytest.approx(140)
    assert times.phases["other"] == pytest.approx(160)


def test_what_comes_after_the_last_step_counts_but_is_no_step(clock: StepClock[float], now: Time) -> None:
    take_step(clock, now)
    with clock.phase("validation"):
        now.passes(5)
    times = clock.finish()
    assert (times.steps, times.phases["validation"]) == (1, 5)
    assert times.own == pytest.approx(0.3)


def test_a_slow_step_names_the_phase_that_made_it_slow(clock: StepClock[float], now: Time) -> None:
    for step in range(100):
        # Forward is the longest phase of every step; it is the photos that came late in step 42.
        take_step(clock, now, data=3.0 if step == 42 else 0.1, forward=4.0)
    times = clock.finish()
    slowest = times.slowest[0]
    assert (slowest.step, slowest.phase) == (42, "data")
    assert slowest.seconds == times.longest == pytest.approx(7.0)
    assert times.longer_than(times.limit(3)) == 1


def test_a_resumed_training_goes_on_counting(clock: StepClock[float], now: Time) -> None:
    Observer(clock=clock).begin_training(torch.nn.Identity(), epochs=2, steps=50, done=70)
    for number in range(10):
        take_step(clock, now, data=5 if number == 4 else 0.1)
    times = clock.finish()
    assert (times.steps, times.slowest[0].step) == (10, 74)


def test_time_outside_all_phases_can_make_a_step_slow_too(clock: StepClock[float], now: Time) -> None:
    for step in range(30):
        now.passes(9 if step == 7 else 0)
        take_step(clock, now)
    slowest = clock.finish().slowest[0]
    assert (slowest.step, slowest.phase) == (7, "other")


def test_mean_and_deviation_are_those_of_the_steps(clock: StepClock[float], now: Time) -> None:
    for forward in (1.0, 2.0, 3.0, 4.0):
        take_step(clock, now, data=0, forward=forward)
    times = clock.finish()
    assert times.mean == pytest.approx(2.5)
    assert times.deviation == pytest.approx(1.25**0.5)


def test_a_training_without_steps_has_times_too(clock: StepClock[float]) -> None:
    times = clock.finish()
    assert (times.steps, times.total, times.longest, times.slowest) == (0, 0, 0, [])


def test_an_exception_leaves_its_phase(clock: StepClock[float], now: Time) -> None:
    with pytest.raises(ZeroDivisionError), clock.phase("forward"):
        raise ZeroDivisionError
    now.passes(3)
    clock.end_step()
    assert clock.finish().phases["other"] == 3


def test_a_starved_training_waits_for_data(clock: StepClock[float], now: Time) -> None:
    def photos() -> Iterator[int]:
        for number in range(5):
            now.passes(9)
            yield number

    observer = Observer(clock=clock)
    for _ in observer.each("data", photos()):
        with observer.phase("forward"):
            now.passes(1)
        observer.end_step(loss=torch.zeros(()), logits=torch.zeros(1, 2), labels=torch.zeros(1))
    times = clock.finish()
    assert times.phases["data"] / times.total == pytest.approx(0.9)


class Gpu:
    """A device that reaches its marks only when told to; a mark is a place in its queue and the time of reaching it."""

    def __init__(self, now: Time):
        self._now, self.done = now, False

    def now(self) -> list[float]:
        return [self._now()]

    def reached(self, mark: list[float]) -> bool:
        return self.done

    def seconds(self, start: list[float], end: list[float]) -> float:
        assert self.done, "asked for a time the device does not know yet"
        return end[0] - start[0]


def test_the_gpu_is_not_waited_for(now: Time) -> None:
    gpu = Gpu(now)
    clock = StepClock(gpu)
    for _ in range(3):
        with clock.phase("forward"):
            now.passes(2)
        clock.end_step()
    gpu.done = True
    times: StepTimes = clock.finish()
    assert times.steps == 3
    assert times.phases["forward"] == 6


def test_a_gpu_that_still_works_at_the_end_is_named(now: Time) -> None:
    clock = StepClock(Gpu(now))
    with clock.phase("forward"):
        now.passes(2)
    with pytest.raises(RuntimeError, match="synchronize"):
        clock.finish()


def test_each_device_has_its_timer() -> None:
    assert isinstance(timer_of(torch.device("cpu")), CpuTimer)
    assert isinstance(timer_of(torch.device("cuda", 0)), CudaTimer)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_gpus_work_is_timed_where_there_is_one() -> None:
    device = torch.device("cuda")
    clock = StepClock(CudaTimer())
    big = torch.rand(4096, 4096, device=device)
    for _ in range(5):
        with clock.phase("forward"):
            for _ in range(20):
                big = (big @ big).clamp(0, 1)
        with clock.phase("optimizer"):
            big += 1
        clock.end_step()
    torch.cuda.synchronize()
    times = clock.finish()
    assert times.steps == 5
    assert times.phases["forward"] > 5 * times.phases["optimizer"] > 0


def test_a_long_series_is_kept_in_part_evenly() -> None:
    series = DownsampledSeries(limit=8)
    for value in range(100):
        series.append(value)
    assert series.stride == 16
    assert series.kept == [0, 16, 32, 48, 64, 80, 96]


def test_a_short_series_is_kept_whole() -> None:
    series = DownsampledSeries(limit=8)
    for value in range(8):
        series.append(value)
    assert series.kept == list(range(8))
    with pytest.raises(ValueError, match="2 or more"):
        DownsampledSeries(limit=1)


@pytest.mark.parametrize(("count", "limit", "left"), [(7, 10, 7), (10, 10, 10), (11, 10, 6), (1000, 10, 10), (0, 5, 0)])
def test_a_downsampled_list_never_gives_more_than_asked(count: int, limit: int, left: int) -> None:
    values = downsampled([float(value) for value in range(count)], limit=limit)
    assert len(values) == left
    assert values == sorted(set(values))


def test_long_trainings_take_bounded_memory_and_their_outliers_are_scaled(
    clock: StepClock[float], now: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock._seconds = DownsampledSeries(limit=64)  # in place of 131,072
    for step in range(1000):
        take_step(clock, now, data=0, forward=10.0 if step % 5 == 0 else 1.0)
    times = clock.finish()
    assert times.steps == 1000
    assert len(times.seconds) <= 64
    assert len(times.slowest) == 20
    assert times.mean == pytest.approx(2.8)
    assert times.longer_than(5) == pytest.approx(200, rel=0.1)
