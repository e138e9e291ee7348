"""Read metrics from log lines by MetricDefinitions."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from local import clock
from local.sagemaker.errors import validation

__all__ = ["MetricReader"]


class MetricReader:
    """Apply a job's MetricDefinitions to its log, line by line.

    The value of a metric is the first group of its regular expression. Like SageMaker, ignore a match that is not a
    finite number.

    Raises:
        SageMakerError: a regular expression does not compile or has no group.
    """

    def __init__(self, definitions: Sequence[dict[str, str]]) -> None:
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        self._last: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()
        for definition in definitions:
            name, regex = definition["Name"], definition["Regex"]
            subject = f"The regular expression '{regex}' of metric '{name}'"
            try:
                pattern = re.compile(regex)
            except re.error as error:
                raise validation(f"{subject} is not valid: {error}") from None
            if pattern.groups < 1:
                raise validation(f"{subject} has no group; put the value in parentheses.")
            self._patterns.append((name, pattern))

    def read(self, line: str) -> Iterator[tuple[str, float]]:
        """Yield the name and the value of each metric in the line."""
        for name, pattern in self._patterns:
            for match in pattern.finditer(line):
                try:
                    value = float(match.group(1))
                except (TypeError, ValueError):
                    continue
                if math.isfinite(value):
                    with self._lock:
                        self._last[name] = (value, clock.time())
                    yield name, value

    @property
    def final(self) -> list[dict[str, Any]]:
        """The job's FinalMetricDataList: the last value of every metric that was printed."""
        with self._lock:
            return [
                {"MetricName": name, "Value": value, "Timestamp": timestamp}
                for name, (value, timestamp) in self._last.items()
            ]
