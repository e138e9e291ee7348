"""Reading an execution: what a user is shown while it moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cli.errors import CliError
from cli.joblogs import JobLogs
from cli.run import start


class Logs:
    """CloudWatch Logs with one stream that grows, served two events a page."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def describe_log_streams(self, **_: Any) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": "job/algo-1-1"}] if self.lines else []}

    def get_log_events(self, *, nextToken: str = "0", **_: Any) -> dict[str, Any]:  # noqa: N803
        begin = int(nextToken)
        events = [{"message": f"{line}\n"} for line in self.lines[begin : begin + 2]]
        return {"events": events, "nextForwardToken": str(begin + len(events))}


def _read(log: JobLogs) -> list[str]:
    lines: Iterator[str] = log.new_lines()
    return list(lines)


def test_a_log_is_read_once_however_often_it_is_looked_at() -> None:
    logs = Logs()
    log = JobLogs(logs, "job")
    assert _read(log) == []
    logs.lines = ["a", "b", "c"]
    assert _read(log) == ["a", "b", "c"]
    assert _read(log) == []
    logs.lines.append("d")
    assert _read(log) == ["d"]


class Target:
    def client(self, _: str) -> Any:
        raise AssertionError("nothing may be started")

    def output(self, _: str) -> str:
        raise AssertionError("nothing may be started")


@pytest.mark.parametrize("overrides", ["{", "[]", '"epochs"'])
def test_an_input_that_is_no_json_object_is_refused_before_anything_starts(overrides: str) -> None:
    with pytest.raises(CliError, match=r"--input is .*give for example"):
        start(Target(), overrides=overrides)  # type: ignore[arg-type]
