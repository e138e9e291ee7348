"""What the endpoint counts and times: for CloudWatch as lines of its log, and for Prometheus at `/metrics`."""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import contract

__all__ = ["Metrics"]

_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histograms' buckets, in seconds."""

_MAX_VALUES: Final = 100
"""Values of a metric in one line (CloudWatch user guide, "Embedded metric format specification")."""

_TIMES: Final = {
    "wait": "seconds that an answered request waited for a worker",
    "decode": "seconds of decoding a photo",
    "model": "seconds of the model",
}


@dataclass
class _Histogram:
    buckets: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS) + 1))
    total: float = 0.0
    recent: list[float] = field(default_factory=list)
    """Values since the last line of the log, the first `_MAX_VALUES` of them."""

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(_BOUNDS, seconds)] += 1
        self.total += seconds
        if len(self.recent) < _MAX_VALUES:
            self.recent.append(seconds)


class Metrics:
    """Counts and times of all requests since the start, and of those since the last line of the log."""

    def __init__(self) -> None:
        self._statuses: Counter[int] = Counter()
        self._new: Counter[str] = Counter()
        self._times = {name: _Histogram() for name in _TIMES}
        self._worker_ends = 0
        self._abandoned = 0
        self._longest_queue = 0
        self._answers = 0
        self._unknown = 0

    def count(self, status: int) -> None:
        """Count a request that was answered with a status."""
        self._statuses[status] += 1
        self._new["Requests"] += 1
        if status == 503:
            self._new["Refused"] += 1
        elif status >= 500:
            self._new["Errors"] += 1

    def took(self, *, wait: float, decode: float, model: float) -> None:
        """Count the times of an answer."""
        for name, seconds in (("wait", wait), ("decode", decode), ("model", model)):
            self._times[name].add(seconds)

    def answered(self, *, unknown: bool) -> None:
        """Count an answer for the share of unknown photos."""
        self._answers += 1
        self._unknown += unknown
        if unknown:
            self._new["Unknown"] += 1

    def queued(self, waiting: int) -> None:
        """Note how many requests wait."""
        self._longest_queue = max(self._longest_queue, waiting)

    def abandon(self) -> None:
        """Count a request whose client went before its turn."""
        self._abandoned += 1
        self._new["Abandoned"] += 1

    def worker_ended(self) -> None:
        """Count a worker that ended."""
        self._worker_ends += 1
        self._new["WorkerEnds"] += 1

    def prometheus(self, *, waiting: int, busy: int) -> str:
        """Return everything in Prometheus' text format, version 0.0.4."""
        return "\n".join([*self._lines(waiting, busy), ""])

    def embedded(self, endpoint: str) -> str | None:
        """Return what happened since the last call as a line of CloudWatch's embedded metric format; None if nothing.

        Times are in milliseconds, and those of the first hundred requests stand for all.
        """
        if not self._new:
            return None
        values: dict[str, Any] = {**self._new, "LongestQueue": self._longest_queue}
        units = dict.fromkeys(values, "Count")
        for name, histogram in self._times.items():
            if histogram.recent:
                values[f"{name.capitalize()}Time"] = [round(1000 * seconds, 3) for seconds in histogram.recent]
                units[f"{name.capitalize()}Time"] = "Milliseconds"
                histogram.recent = []
        if self._answers >= contract.UNKNOWN_SHARE_ANSWERS:
            values[contract.UNKNOWN_SHARE] = round(100 * self._unknown / self._answers, 3)
            units[contract.UNKNOWN_SHARE] = "Percent"
            self._answers = self._unknown = 0
        self._new.clear()
        self._longest_queue = 0
        directive = {
            "Namespace": contract.SERVING_NAMESPACE,
            "Dimensions": [[contract.ENDPOINT_DIMENSION]],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in units.items()],
        }
        about = {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": [directive]}
        return json.dumps({"_aws": about, contract.ENDPOINT_DIMENSION: endpoint, **values}, separators=(",", ":"))

    def _lines(self, waiting: int, busy: int) -> Iterator[str]:
        yield from _head("requests_total", "counter", "requests by the status of their answer")
        for status, count in sorted(self._statuses.items()):
            yield f'whippet_requests_total{{status="{status}"}} {count}'
        for name, kind, what, value in (
            ("queue_length", "gauge", "requests that wait for a worker", waiting),
            ("workers_busy", "gauge", "workers that have a request", busy),
            ("abandoned_total", "counter", "requests whose client went before their turn", self._abandoned),
            ("worker_ends_total", "counter", "workers that ended and were replaced", self._worker_ends),
        ):
            yield from _head(name, kind, what)
            yield f"whippet_{name} {value}"
        for name, what in _TIMES.items():
            yield from _head(f"{name}_seconds", "histogram", what)
            count = 0
            for bound, bucket in zip((*_BOUNDS, "+Inf"), self._times[name].buckets, strict=True):
                count += bucket
                yield f'whippet_{name}_seconds_bucket{{le="{bound}"}} {count}'
            yield f"whippet_{name}_seconds_sum {self._times[name].total}"
            yield f"whippet_{name}_seconds_count {count}"


def _head(name: str, kind: str, what: str) -> list[str]:
    return [f"# HELP whippet_{name} {what}", f"# TYPE whippet_{name} {kind}"]
