"""The result of a benchmark: one figure of ours beside its peers' and beside its goal."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Result", "cost_share", "emit", "speed_up"]


@dataclass(frozen=True)
class Result:
    """One measurement of ours beside what a user would choose instead."""

    name: str
    unit: str
    ours: float
    peers: dict[str, float]
    ratio: float
    against: str
    """What `ratio` compares ours with: a name of `peers`, or words."""
    goal: str
    holds: bool
    table: list[dict[str, str]] = field(default_factory=list)
    """What happened case by case, for a section of its own; the keys are the headings."""


def speed_up(name: str, *, unit: str, ours: float, peers: Mapping[str, float], against: str, at_least: float) -> Result:
    """Compare our rate with that of the peer named `against`; the goal is a ratio of `at_least`."""
    return Result(
        name=name,
        unit=unit,
        ours=ours,
        peers=dict(peers),
        ratio=ours / peers[against],
        against=against,
        goal=f"at least {at_least}",
        holds=ours >= at_least * peers[against],
    )


def cost_share(name: str, *, unit: str, ours: float, peer: tuple[str, float], at_most: float) -> Result:
    """Compare our share of a cost with a peer's; the goal is a share of `at_most`."""
    against, share = peer
    return Result(
        name=name,
        unit=unit,
        ours=ours,
        peers={against: share},
        ratio=share / ours,
        against=against,
        goal=f"at most {at_most:.2f}",
        holds=ours <= at_most,
    )


def emit(results: Sequence[Result]) -> None:
    """Print the results on one line, for the process that started this one."""
    print(json.dumps([dataclasses.asdict(result) for result in results]), flush=True)
