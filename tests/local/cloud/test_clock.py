"""The local cloud's clock runs as fast as it is told, without a jump, and takes no speed that makes no sense."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from local import clock


@pytest.fixture(autouse=True)
def _usual_speed() -> Iterator[None]:
    yield
    clock.set_speed(1)


def test_it_is_the_machines_clock_at_first() -> None:
    assert clock.real(60) == 60
    before = clock.monotonic(), time.monotonic()
    time.sleep(0.02)
    assert clock.monotonic() - before[0] == pytest.approx(time.monotonic() - before[1], abs=0.005)


def test_an_hour_passes_in_a_moment() -> None:
    clock.set_speed(10_000)
    began, real = clock.time(), time.monotonic()
    clock.sleep(3600)
    assert clock.time() - began >= 3600
    assert time.monotonic() - real >= 0.36


def test_a_new_speed_makes_no_jump() -> None:
    clock.set_speed(1000)
    time.sleep(0.01)
    before = clock.time()
    clock.set_speed(1)
    assert 0 <= clock.time() - before < 5, "five seconds are five milliseconds of the machine's"
    assert clock.time() > time.time(), "what has passed stays passed"


def test_an_event_ends_a_wait() -> None:
    clock.set_speed(100)
    event = threading.Event()
    assert not clock.wait(event, 1)
    event.set()
    assert clock.wait(event, 1e9)


@pytest.mark.parametrize("speed", ["0", "0.5", "-1", "nan", "inf", "10001", "fast", ""])
def test_a_speed_that_makes_no_sense_is_refused(speed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.SPEED_VARIABLE, speed)
    with pytest.raises(ValueError, match=f"{clock.SPEED_VARIABLE}={speed} is not a number from 1 to 10,000"):
        clock.chosen_speed()


def test_the_variable_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(clock.SPEED_VARIABLE, raising=False)
    assert clock.chosen_speed() == 1
    monkeypatch.setenv(clock.SPEED_VARIABLE, "720")
    assert clock.chosen_speed() == 720
