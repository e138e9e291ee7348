"""Sets of labels that hold the right one with a promised probability: split conformal prediction.

A label is in the set if its probability is high enough; how high, photos say that the model has not learnt from. Of all
sets that keep the promise by a score's threshold, these are the smallest on average (Sadinle, Lei, Wasserman, "Least
Ambiguous Set-Valued Classifiers with Bounded Error Levels", 2019). The promise holds for photos that are like the
held-out ones, of all classes together.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import contract

__all__ = ["LEVELS", "coverage_table", "label_sets", "lowest_score", "measure_coverage"]

LEVELS: Final = (0.90, 0.95, 0.98)
"""Promises that are measured on the test photos."""

_STEPS: Final = 1000
"""Levels of the table are multiples of a thousandth."""


def lowest_score(of_labels: NDArray[np.float64], *, level: float) -> float | None:
    """Return the probability from which on a label belongs to the set; None where the photos are too few.

    It is the ceil((n + 1) x level)-th largest of the right labels' probabilities for n held-out photos.

    Args:
        of_labels: probability of the right label of each held-out photo, (images,).
        level: the promise, 0 to 1.
    """
    place = math.ceil((len(of_labels) + 1) * level - 1e-9)
    if not 1 <= place <= len(of_labels):
        return None
    return float(np.sort(of_labels)[-place])


def coverage_table(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> contract.CoverageTable | None:
    """Return what the endpoint needs for any coverage that may be asked for; None where the photos are too few.

    Args:
        probabilities: of photos that the model had not learnt from, (images, classes), calibrated.
        labels: (images,)
    """
    of_labels = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    levels = range(round(contract.MIN_COVERAGE * _STEPS), round(contract.MAX_COVERAGE * _STEPS) + 1)
    found = [(step / _STEPS, lowest_score(of_labels, level=step / _STEPS)) for step in levels]
    reached = [(level, score) for level, score in found if score is not None]
    if not reached:
        return None
    return {
        "photos": len(labels),
        "levels": [level for level, _ in reached],
        # rounded down, so that no rounding breaks a promise
        "lowest_scores": [math.floor(score * 1e7) / 1e7 for _, score in reached],
    }


def label_sets(probabilities: NDArray[Any], *, lowest: float) -> NDArray[np.bool_]:
    """Return which labels are in each photo's set, (images, classes): the likeliest always, as the endpoint answers."""
    sets: NDArray[np.bool_] = probabilities >= lowest
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    return sets


def measure_coverage(
    table: contract.CoverageTable | None, probabilities: NDArray[Any], labels: NDArray[np.int64]
) -> list[contract.Coverage]:
    """Return how often the sets of the test photos hold the right label, and how large they are.

    Args:
        table: the model card's.
        probabilities: of the test photos, (images, classes), as served.
        labels: (images,)
    """
    measured: list[contract.Coverage] = []
    for promised in LEVELS:
        if table is None or promised not in table["levels"]:
            continue
        sets = label_sets(probabilities, lowest=table["lowest_scores"][table["levels"].index(promised)])
        measured.append(
            {
                "promised": promised,
                "realised": float(sets[np.arange(len(labels)), labels].mean()),
                "mean_labels": float(sets.sum(axis=1).mean()),
            }
        )
    return measured
