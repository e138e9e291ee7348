"""The bill's proof: what a month costs at worst, whatever a person does, beside the ceiling that the settings promise.

A thousand times a person starts, stops and aborts runs, sends photos, classifies folders, wakes, destroys half-way,
deploys again and forgets for a week, on a clock of its own (tests/fakes/person.py). What is refused, paused and removed
is decided by the project's own code; what it costs is added up by the second, by the price table. Each sequence is
lived twice: with the ceiling, and with a ceiling that refuses nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from unittest import mock

import contract
from benchmarks.result import Result, emit

sys.path.insert(0, str(Path(__file__).parents[1] / "lambda"))

from tests.fakes.person import Life, live

SEQUENCES: Final = 1000
PICTURE: Final = Path(__file__).parents[1] / "docs" / "bill.svg"
_STEP: Final = 0.05
_STEPS: Final = 50
"""The last bar holds everything beyond."""


def run(*, quick: bool) -> list[Result]:
    """Return the worst bill as a share of its ceiling, and what outlived its idle setting or a destroy."""
    seeds = range(20 if quick else SEQUENCES)
    kept = [live(seed) for seed in seeds]
    with mock.patch.object(contract.HeldClaim, "refusal", None):
        unkept = [live(seed) for seed in seeds]
    if not quick:
        PICTURE.write_text(_picture(_shares(kept), _shares(unkept)), encoding="utf-8")

    shares, others = _shares(kept), _shares(unkept)
    overstayed = max(life.longest_idle.total_seconds() / 60 for life in kept)
    left = sum(len(life.left) for life in kept)
    return [
        Result(
            name="bill_worst_month",
            unit=f"dearest month as a share of budget.ceiling, the worst of {len(kept):,} random sequences "
            f"({sum(life.runs for life in kept):,} runs started, {sum(life.refused for life in kept):,} refused)",
            ours=max(shares),
            peers={"nothing refused": max(others)},
            ratio=max(others) / max(shares),
            against="nothing refused",
            goal="at most 1.00",
            holds=max(shares) <= 1,
        ),
        Result(
            name="bill_outlived",
            unit="minutes for which an endpoint that nobody asked outlived serving.pause_after_hours, the worst",
            ours=overstayed,
            peers={},
            ratio=1.0,
            against="itself",
            goal="at most 30, two looks",
            holds=overstayed <= 30,
        ),
        Result(
            name="bill_left",
            unit="jobs and endpoints with a price by the hour an hour after the last destroy, of all sequences",
            ours=float(left),
            peers={},
            ratio=1.0,
            against="itself",
            goal="0",
            holds=left == 0,
        ),
    ]


def _shares(lives: Sequence[Life]) -> list[float]:
    return [life.worst_month / life.ceiling for life in lives]


def _picture(kept: Sequence[float], unkept: Sequence[float]) -> str:
    """Draw how many sequences' dearest months came to which share of their ceiling, with and without it."""
    counts = [[0] * _STEPS for _ in range(2)]
    for row, shares in zip(counts, (kept, unkept), strict=True):
        for share in shares:
            row[min(int(share / _STEP), _STEPS - 1)] += 1

    left, top, width, height = 60, 60, 800, 260
    most = max(max(row) for row in counts)
    bars, bar = [], width / _STEPS
    for row, colour in zip(counts, ("#1f6feb", "#d0883a"), strict=True):
        shift = 0 if colour == "#1f6feb" else bar / 2
        for number, count in enumerate(row):
            if count:
                tall = height * count / most
                bars.append(
                    f'<rect x="{left + number * bar + shift:.1f}" y="{top + height - tall:.1f}" '
                    f'width="{bar / 2 - 1:.1f}" height="{tall:.1f}" fill="{colour}"/>'
                )

    # the axes, and the ceiling
    ceiling = left + bar / _STEP
    ticks = "".join(
        f'<text x="{left + share / _STEP * bar:.1f}" y="{top + height + 20}" text-anchor="middle">{share:.0%}</text>'
        for share in (0, 0.5, 1, 1.5, 2)
    )
    heights = "".join(
        f'<text x="{left - 8}" y="{top + height * (1 - part) + 4:.1f}" text-anchor="end">{most * part:.0f}</text>'
        for part in (0, 0.5, 1)
    )
    beyond = f"the last bar holds all beyond {(_STEPS - 1) * _STEP:.0%}, up to {max(unkept):.0%}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 400" font-family="sans-serif" font-size="13" '
        f'fill="#222"><rect width="900" height="400" fill="#fff"/>'
        f'<text x="{left}" y="24" font-size="16">The dearest month of {len(kept):,} random lives, as a share of '
        f"budget.ceiling</text>"
        f'<rect x="{left}" y="36" width="12" height="12" fill="#1f6feb"/><text x="{left + 18}" y="47">with the '
        f"ceiling: at most {max(kept):.0%}</text>"
        f'<rect x="{left + 230}" y="36" width="12" height="12" fill="#d0883a"/><text x="{left + 248}" y="47">nothing '
        f"refused: {sum(share > 1 for share in unkept):,} above it</text>"
        f"{''.join(bars)}"
        f'<line x1="{left}" y1="{top + height}" x2="{left + width}" y2="{top + height}" stroke="#222"/>'
        f'<line x1="{ceiling:.1f}" y1="{top}" x2="{ceiling:.1f}" y2="{top + height}" stroke="#c00" stroke-width="2"/>'
        f'<text x="{ceiling + 6:.1f}" y="{top + 14}" fill="#c00">budget.ceiling</text>{ticks}{heights}'
        f'<text x="{left}" y="{top + height + 46}">dearest month / budget.ceiling; {beyond}</text>'
        f'<text x="{left}" y="{top + height + 66}">bars: sequences</text></svg>\n'
    )


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
