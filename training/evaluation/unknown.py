"""How a model tells photos of something else, measured on test photos, all of which are of known classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import contract

__all__ = ["ODDEST", "POINTS", "answered_curve", "describe", "measure_unknown"]

ODDEST: Final = 20
POINTS: Final = 50
"""Points of the curve, at most."""


def measure_unknown(
    distances: NDArray[np.float32],
    probabilities: NDArray[Any],
    labels: NDArray[np.int64],
    *,
    paths: Sequence[str],
    classes: Sequence[str],
    promised_share: float,
) -> contract.UnknownPhotos:
    """Return what is reported of the distances.

    Args:
        distances: as served, (images,).
        probabilities: as served, (images, classes).
        labels: (images,)
        paths: the photos' file names, (images,)
        classes: names of the classes.
        promised_share: share of held-out known photos that the threshold was set for.
    """
    right = probabilities.argmax(axis=1) == labels
    known = distances <= 1
    oddest = np.argsort(-distances, kind="stable")[:ODDEST]
    return {
        "known_share": float(known.mean()),
        "promised_share": promised_share,
        "accuracy_known": float(right[known].mean()) if known.any() else None,
        "accuracy_unknown": float(right[~known].mean()) if not known.all() else None,
        "curve": answered_curve(probabilities.max(axis=1), right),
        "oddest": [
            {"path": paths[index], "label": classes[labels[index]], "distance": float(distances[index])}
            for index in oddest
        ],
    }


def answered_curve(scores: NDArray[Any], right: NDArray[np.bool_]) -> list[contract.AnsweredShare]:
    """Return the accuracy on the photos with the highest scores, for few of them to all of them.

    Args:
        scores: of the likeliest class, (images,).
        right: whether that class is the right one, (images,).
    """
    ordered = right[np.argsort(-scores, kind="stable")]
    accuracy = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    counts = np.unique(np.ceil(np.linspace(0, len(ordered), POINTS + 1)[1:]).astype(int))
    return [{"answered": float(count / len(ordered)), "accuracy": float(accuracy[count - 1])} for count in counts]


def describe(unknown: contract.UnknownPhotos, coverage: Sequence[contract.Coverage], *, held_out: int) -> str:
    """Return the lines of the job's log."""
    enough = "" if unknown["promised_share"] >= contract.KNOWN_SHARE else ", more of which would be needed for 95%"
    lines = [
        f"known photos: {unknown['known_share']:.4f} of the test photos; {unknown['promised_share']:.4f} were to be, "
        f"by {held_out} validation photos{enough}"
    ]
    lines += [
        f"coverage {each['promised']:.2f} promised, {each['realised']:.4f} realised on the test photos with "
        f"{each['mean_labels']:.2f} labels on average"
        for each in coverage
    ]
    return "\n".join(lines)
