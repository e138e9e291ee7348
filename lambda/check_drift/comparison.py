"""Whether captured answers differ from those to the test photos by more than chance, and by enough to matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

import contract

from .statistics import compare_numbers, compare_shares, wilson

__all__ = ["FALSE_ALARMS", "Answers", "class_shares", "compare", "confidence_bins", "distance_bins", "unknown_shares"]

FALSE_ALARMS: Final = 0.003
"""The most checks, as a share, that find drift where there is none: one in about eleven months of daily checks. Each
measure gets an equal part of it (Bonferroni), whether it counts or not."""

_BINS: Final = 10
_FARTHEST: Final = 2.0
"""Distances from here on are in the last bin of the picture."""


@dataclass
class Answers:
    """What is compared of some answers; the three lists are of the same photos, in the same order."""

    classes: list[str] = field(default_factory=list)
    """The likeliest class."""
    confidences: list[float] = field(default_factory=list)
    """Its probability."""
    distances: list[float] = field(default_factory=list)
    """Empty where the model gives none."""

    def __len__(self) -> int:
        return len(self.classes)

    def add(self, label: str, confidence: float, distance: float | None) -> None:
        """Add the answer to one photo."""
        self.classes.append(label)
        self.confidences.append(confidence)
        if distance is not None:
            self.distances.append(distance)

    @property
    def has_distances(self) -> bool:
        """Whether every answer has a distance."""
        return bool(self.classes) and len(self.distances) == len(self.classes)


def compare(
    test: Answers, captured: Answers, *, counting: Collection[contract.DriftMeasure], smallest: float
) -> list[contract.MeasuredDrift]:
    """Return each measure that both samples have.

    Args:
        test: the answers to the test photos.
        captured: the endpoint's.
        counting: the measures that can find drift.
        smallest: the difference from which on it matters, from 0 to 1.
    """
    found: dict[contract.DriftMeasure, tuple[float, float]] = {
        "class_mix": compare_shares(Counter(test.classes), Counter(captured.classes)),
        "confidence": compare_numbers(test.confidences, captured.confidences),
    }
    if test.has_distances and captured.has_distances:
        found["distance"] = compare_numbers(test.distances, captured.distances)
    significant = FALSE_ALARMS / len(contract.DRIFT_MEASURES)
    return [
        {
            "measure": measure,
            "difference": difference,
            "p_value": p_value,
            "drifted": measure in counting and p_value < significant and difference >= smallest,
        }
        for measure, (difference, p_value) in found.items()
    ]


def class_shares(test: Answers, captured: Answers) -> list[contract.ClassShare]:
    """Return how often each class is the likeliest one, those with the largest difference first."""
    before, after = Counter(test.classes), Counter(captured.classes)
    shares: list[contract.ClassShare] = []
    for name in sorted({*before, *after}):
        low, high = wilson(after[name], len(captured))
        share, was = after[name] / len(captured), before[name] / len(test)
        shares.append({"name": name, "test": was, "captured": share, "low": low, "high": high})
    return sorted(shares, key=lambda one: -abs(one["captured"] - one["test"]))


def confidence_bins(test: Answers, captured: Answers) -> list[contract.Bin]:
    """Return the shares of answers by their confidence."""
    return _bins(test.confidences, captured.confidences, end=1.0)


def distance_bins(test: Answers, captured: Answers) -> list[contract.Bin]:
    """Return the shares of answers by their distance; the last bin has no upper end. Empty where there are none."""
    if not (test.has_distances and captured.has_distances):
        return []
    return _bins(test.distances, captured.distances, end=_FARTHEST)


def unknown_shares(test: Answers, captured: Answers) -> contract.UnknownShares | None:
    """Return the share of photos that count as unknown; None where there are no distances."""
    if not (test.has_distances and captured.has_distances):
        return None
    count = sum(distance > 1 for distance in captured.distances)
    low, high = wilson(count, len(captured))
    before = sum(distance > 1 for distance in test.distances) / len(test)
    return {"test": before, "captured": count / len(captured), "low": low, "high": high}


def _bins(test: Sequence[float], captured: Sequence[float], *, end: float) -> list[contract.Bin]:
    def shares(values: Sequence[float]) -> list[float]:
        counts = Counter(min(_BINS - 1, max(0, int(value / end * _BINS))) for value in values)
        return [counts[number] / len(values) for number in range(_BINS)]

    width = end / _BINS
    return [
        {"low": round(number * width, 6), "high": round((number + 1) * width, 6), "test": before, "captured": after}
        for number, (before, after) in enumerate(zip(shares(test), shares(captured), strict=True))
    ]
