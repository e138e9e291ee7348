"""What a worker answers, and what a request may take of it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from inference import worker
from inference.classifier import Classifier
from inference.invocation import ClassifyRequest
from inference.messages import Job
from inference.worker import answered
from tests.inference.conftest import picture


def job(body: bytes, content_type: str = "image/jpeg") -> Job:
    return Job(body, content_type, "")


def test_an_answer_says_what_it_took(model_folder: Path) -> None:
    reply = answered(Classifier(model_folder, threads=1), job(picture()))
    assert (reply.status, json.loads(reply.body)["label"]) == (200, "red")
    assert reply.decode_seconds > 0
    assert reply.model_seconds > 0


def test_a_bug_is_a_500_without_its_innards(model_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Classifier):
        def timed(self, asked: ClassifyRequest) -> Any:
            raise KeyError("secret")

    reply = answered(Broken(model_folder, threads=1), job(picture()))
    assert reply.status == 500
    assert b"secret" not in reply.body
    assert "secret" in caplog.text


def test_a_request_that_needs_too_much_memory_is_the_callers_to_change(model_folder: Path) -> None:
    class Greedy(Classifier):
        def timed(self, asked: ClassifyRequest) -> Any:
            raise MemoryError

    reply = answered(Greedy(model_folder, threads=1), job(picture()))
    assert (reply.status, json.loads(reply.body)["detail"]) == (
        400,
        "the request takes more memory than it may; send a smaller image",
    )


def in_child(action: Any) -> int:
    """The status that a child ends with which does this."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(action())
        finally:
            os._exit(99)
    return os.waitpid(pid, 0)[1]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not count this memory")
def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_MEMORY_BYTES", 50_000_000)

    def take() -> int:
        worker._bound_memory()
        assert bytearray(20_000_000)
        try:
            bytearray(100_000_000)
        except MemoryError:
            return 7
        return 0

    assert os.waitstatus_to_exitcode(in_child(take)) == 7


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_processor_time_of_a_request_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_CPU_SECONDS", 0.2)

    def take() -> int:
        with worker._bounded_time():
            spin(60)
        return 0

    assert os.waitstatus_to_exitcode(in_child(take)) == -signal.SIGPROF


def test_only_a_requests_own_processor_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much the worker has taken before, and between two requests."""
    monkeypatch.setattr(worker, "MAX_CPU_SECONDS", 0.4)

    def take() -> int:
        for _ in range(4):
            spin(0.5)
            with worker._bounded_time():
                spin(0.1)
        spin(0.5)
        return 7

    assert os.waitstatus_to_exitcode(in_child(take)) == 7
