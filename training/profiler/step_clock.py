"""Measures where the time of a training goes: its phases, its steps, and why a step was slow."""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

import torch

from contract import PHASES, Phase
from training.profiler.downsampling import DownsampledSeries

__all__ = ["CpuTimer", "CudaTimer", "SlowStep", "StepClock", "StepTimes", "Timer", "timer_of"]

_Mark = TypeVar("_Mark")

_OTHER: Final = len(PHASES)
_PAUSE: Final = _OTHER + 1
"""The rest of an epoch's end, such as printing results: beside validation and saving, and no step's own time."""
_VALIDATION, _SAVING = PHASES.index("validation"), PHASES.index("saving")
_OF_A_STEP: Final = tuple(slot for slot in range(_PAUSE) if slot not in (_VALIDATION, _SAVING))

_KEPT_STEPS: Final = 2**17
_SLOWEST: Final = 20


@dataclass(frozen=True, order=True)
class SlowStep:
    """One of the slowest steps, and the phase in which it spent more than other steps do."""

    seconds: float
    step: int
    """The step's number from 0 over the whole training, earlier attempts included."""
    phase: Phase | Literal["other"]


@dataclass(frozen=True)
class StepTimes:
    """The times that a clock measured, in seconds. A step's time does not include validation and saving."""

    phases: dict[Phase | Literal["other"], float]
    """The time of each phase over the whole training."""
    steps: int
    mean: float
    deviation: float
    longest: float
    seconds: list[float]
    """The time of each step in order, or of every `stride`-th step."""
    stride: int
    slowest: list[SlowStep]
    """At most 20 steps, the slowest first."""

    @property
    def total(self) -> float:
        """The time of the whole training, validation and saving included."""
        return sum(self.phases.values())

    @property
    def own(self) -> float:
        """The own time of all steps together."""
        return self.mean * self.steps

    def limit(self, deviations: float) -> float:
        """Return the seconds above which a step is an outlier: so many standard deviations above the mean."""
        return self.mean + deviations * self.deviation

    def longer_than(self, limit: float) -> int:
        """Return how many steps took longer; exact up to 131,072 steps, above that scaled up from the steps kept."""
        return self.stride * sum(seconds > limit for seconds in self.seconds)


class Timer(Protocol[_Mark]):
    """Measures how long work takes on a device, between marks in its work."""

    def now(self) -> _Mark:
        """Return a mark in the device's work at this moment."""

    def reached(self, mark: _Mark) -> bool:
        """Return whether the device has reached a mark."""

    def seconds(self, start: _Mark, end: _Mark) -> float:
        """Return the seconds between two marks that were reached."""


class CpuTimer:
    """The timer of a CPU, whose work is done when a call returns: a mark is the time of the clock."""

    def __init__(self, now: Callable[[], float] = time.perf_counter):
        self.now = now

    def reached(self, mark: float) -> bool:
        """Return True, since a CPU's marks are in the past."""
        return True

    def seconds(self, start: float, end: float) -> float:
        """Return the seconds between two marks."""
        return end - start


class CudaTimer:
    """The timer of a GPU, whose marks are events in the current stream's queue.

    A GPU works behind the program. Nothing waits for it, and what the program does while the GPU is still busy counts
    for nothing, since it costs nothing: waiting for photos is the time in which the GPU has nothing left to do.
    """

    def now(self) -> torch.cuda.Event:
        """Record an event in the current stream."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def reached(self, mark: torch.cuda.Event) -> bool:
        """Return whether the stream has reached the event."""
        return bool(mark.query())  # type: ignore[no-untyped-call]

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Return the stream's seconds between two events."""
        return float(start.elapsed_time(end)) / 1000


def timer_of(device: torch.device) -> Timer[Any]:
    """Return the timer of a device."""
    return CudaTimer() if device.type == "cuda" else CpuTimer()


class StepClock(Generic[_Mark]):
    """A `training.runtime.observer.Clock`. It runs from the first phase to the last, and all time belongs to a phase.

    A phase costs about a microsecond of a CPU. Memory is bounded, however long the training is.
    """

    def __init__(self, timer: Timer[_Mark]):
        self._timer, self.now = timer, timer.now
        self._phases = {name: _Phase(self, slot) for slot, name in enumerate(PHASES)}
        self.stack = [_OTHER]
        """The nested phases, by number; time counts for the last."""
        self.laps: list[tuple[int, _Mark]] = []
        """The current step's phases, each with the mark at which it ended and the next began."""
        self._waiting: deque[tuple[list[tuple[int, _Mark]], bool]] = deque()
        self._until: _Mark | None = None
        self.started: float | None = None
        """`time.perf_counter()` at the beginning of the first phase."""
        self._done = 0
        self._total = [0.0] * (_PAUSE + 1)
        self._steps, self._sum, self._squares = 0, 0.0, 0.0
        self._seconds = DownsampledSeries(_KEPT_STEPS)
        self._slowest: list[tuple[float, int, list[float]]] = []

    def begin_training(self, *, done: int) -> None:
        """See `Clock.begin_training`."""
        self._done = done

    def phase(self, name: Phase) -> AbstractContextManager[None]:
        """See `Clock.phase`."""
        if self.started is None:
            self.started = time.perf_counter()
        return self._phases[name]

    def end_step(self) -> None:
        """See `Clock.end_step`."""
        self.laps.append((self.stack[-1], self.now()))
        self._waiting.append((self.laps, True))
        self.laps = []
        while self._waiting and self._timer.reached(self._waiting[0][0][-1][1]):
            self._settle(*self._waiting.popleft())

    def finish(self) -> StepTimes:
        """Return what was measured until the last phase's end; the time after the last step counts for no step.

        Raises:
            RuntimeError: the GPU has not reached that point yet.
        """
        # what came after the last step
        if self.laps:
            self._waiting.append((self.laps, False))
            self.laps = []

        # every step that a device's timer had not reached until now
        while self._waiting:
            laps, is_step = self._waiting.popleft()
            if not self._timer.reached(laps[-1][1]):
                raise RuntimeError("the device still works on the training; call torch.cuda.synchronize() first")
            self._settle(laps, is_step)

        mean = self._sum / max(self._steps, 1)
        return StepTimes(
            phases={
                **{name: self._total[slot] for slot, name in enumerate(PHASES)},
                "other": self._total[_OTHER] + self._total[_PAUSE],
            },
            steps=self._steps,
            mean=mean,
            deviation=math.sqrt(max(self._squares / max(self._steps, 1) - mean**2, 0.0)),
            longest=max(self._slowest, default=(0.0,))[0],
            seconds=self._seconds.kept,
            stride=self._seconds.stride,
            slowest=[self._described(*entry) for entry in sorted(self._slowest, reverse=True)],
        )

    def _settle(self, laps: list[tuple[int, _Mark]], is_step: bool) -> None:
        """Add the times of a step's phases, all of whose marks were reached."""
        spent, seconds, total = [0.0] * (_PAUSE + 1), self._timer.seconds, self._total
        start = self._until if self._until is not None else laps[0][1]
        for slot, mark in laps:
            taken = seconds(start, mark)
            spent[slot] += taken
            total[slot] += taken
            start = mark
        self._until = start
        if is_step:
            self._add_step(sum(spent) - spent[_VALIDATION] - spent[_SAVING] - spent[_PAUSE], spent)

    def _add_step(self, own: float, spent: list[float]) -> None:
        # keep the slowest steps in a heap, with the time of each phase
        if len(self._slowest) < _SLOWEST:
            heapq.heappush(self._slowest, (own, self._steps, spent))
        elif own > self._slowest[0][0]:
            heapq.heapreplace(self._slowest, (own, self._steps, spent))

        # sums for mean and deviation
        self._seconds.append(own)
        self._steps += 1
        self._sum += own
        self._squares += own * own

    def _described(self, seconds: float, step: int, spent: list[float]) -> SlowStep:
        """Return a slow step with the phase that exceeded its own mean the most."""
        worst = max(_OF_A_STEP, key=lambda slot: spent[slot] - self._total[slot] / self._steps)
        return SlowStep(seconds=seconds, step=self._done + step, phase="other" if worst == _OTHER else PHASES[worst])


class _Phase(AbstractContextManager[None]):
    """The context manager of a phase, made once and entered at every step; its state is on the clock's stack."""

    def __init__(self, clock: StepClock[Any], slot: int):
        self._clock, self._slot = clock, slot
        self._begins_work = slot not in (_VALIDATION, _SAVING)

    def __enter__(self) -> None:
        clock = self._clock
        clock.laps.append((clock.stack[-1], clock.now()))
        if self._begins_work:
            clock.stack[0] = _OTHER
        clock.stack.append(self._slot)

    def __exit__(self, *_: object) -> None:
        clock = self._clock
        clock.laps.append((clock.stack.pop(), clock.now()))
        if self._slot == _VALIDATION:
            clock.stack[0] = _PAUSE
