"""What a benchmark says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One measurement of ours beside what a user would pick instead."""

    name: str
    unit: str
    ours: float
    peers: dict[str, float]
    ratio: float
    against: str
    goal: str
    holds: bool


def emit(results: Sequence[Result]) -> None:
    """Print the results on one line, for the process that started this one."""
    print(json.dumps([dataclasses.asdict(result) for result in results]), flush=True)
