"""Reading what a run's jobs have written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cli import CliError
from cli.joblogs import PROCESSING_LOG_GROUP, TRAINING_LOG_GROUP, JobLogs, run_lines
from tests.cli.stack import FakeLogs, FakeStack, GroupedLogs

TRAIN, RULES = "whippet-dev-run-7-train", "whippet-dev-run-7-rules"


class Jobs:
    """SageMaker's list of training jobs."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def get_paginator(self, name: str) -> Jobs:
        assert name == "list_training_jobs"
        return self

    def paginate(self, **parameters: str) -> Iterator[dict[str, Any]]:
        named = [name for name in self.names if parameters["NameContains"] in name]
        yield {"TrainingJobSummaries": [{"TrainingJobName": name} for name in named]}


def _read(log: JobLogs) -> list[str]:
    lines: Iterator[str] = log.new_lines()
    return list(lines)


def test_each_line_of_a_growing_log_is_read_once() -> None:
    logs = FakeLogs()
    log = JobLogs(logs, "job")
    assert _read(log) == []
    logs.lines = ["a", "b", "c"]
    assert _read(log) == ["a", "b", "c"]
    assert _read(log) == []
    logs.lines.append("d")
    assert _read(log) == ["d"]


def test_the_logs_of_a_run_end_with_its_rules() -> None:
    logs = GroupedLogs({(TRAINING_LOG_GROUP, TRAIN): ["a", "b"], (PROCESSING_LOG_GROUP, RULES): ["c"]})
    stack: Any = FakeStack(logs=logs, sagemaker=Jobs(TRAIN, "whippet-dev-run-8-train"))
    assert list(run_lines(stack, run="run-7")) == [(TRAIN, "a"), (TRAIN, "b"), (RULES, "c")]


def test_a_run_without_a_job_for_its_rules_has_logs() -> None:
    stack: Any = FakeStack(logs=GroupedLogs({(TRAINING_LOG_GROUP, TRAIN): ["a"]}), sagemaker=Jobs(TRAIN))
    assert list(run_lines(stack, run="run-7")) == [(TRAIN, "a")]


def test_a_run_that_started_no_job_is_named() -> None:
    stack: Any = FakeStack(logs=FakeLogs(), sagemaker=Jobs(TRAIN))
    with pytest.raises(CliError, match="run run-8 has started no jobs on this machine"):
        list(run_lines(stack, run="run-8"))
