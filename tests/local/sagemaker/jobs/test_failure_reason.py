"""A failure that a signal caused is told in words."""

from __future__ import annotations

import signal

import pytest

from local.sagemaker.jobs.failure_reason import failure_reason

MEMORY = "ended by SIGKILL, most likely because the machine ran out of memory"
TOOLKIT = 'ExecuteUserScriptError:\nExitCode {}\nErrorMessage ""\nCommand "python train.py"'


@pytest.mark.parametrize(
    ("message", "status", "words"),
    [
        ("See the log", 137, MEMORY),
        ("See the log", 128 + signal.SIGSEGV, "ended by SIGSEGV"),
        # the toolkit ends with 1, whatever ended its script: subprocess gives -9, a shell 137
        (TOOLKIT.format(-9), 1, MEMORY),
        (TOOLKIT.format(137), 1, MEMORY),
        (TOOLKIT.format(-11), 1, "ended by SIGSEGV"),
    ],
)
def test_a_signal_is_named(message: str, status: int, words: str) -> None:
    reason = failure_reason(message, status)
    assert words in reason
    assert reason.startswith(f"AlgorithmError: {message}")
    assert reason.endswith(f", exit code: {status}")


@pytest.mark.parametrize(
    ("message", "status"), [("See the log", 1), ("See the log", 128), (TOOLKIT.format(1), 1), ("ExitCode", 255)]
)
def test_an_exit_status_of_the_programs_own_is_left_as_aws_tells_it(message: str, status: int) -> None:
    assert failure_reason(message, status) == f"AlgorithmError: {message}, exit code: {status}"


def test_a_long_message_leaves_room_for_the_end() -> None:
    reason = failure_reason("x" * 2000, 137)
    assert len(reason) == 1024
    assert MEMORY in reason
    assert reason.endswith(", exit code: 137")
