"""Class weights: how much the photos of each class count in the loss, so that frequent classes do not drown the rare.

The jobs compute their weights from it and the report says the same, from the same counts of training photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["CLASS_WEIGHTS", "IMBALANCE_TO_WEIGH", "class_weights", "class_weights_reason"]

CLASS_WEIGHTS: Final = ("auto", "none", "balanced")
"""Values of the hyperparameter `class_weights`."""

IMBALANCE_TO_WEIGH: Final = 5.0
"""Training photos of the most frequent class for each of the least frequent, from which on `auto` weighs classes."""


def class_weights(counts: Sequence[int], *, wanted: str) -> list[float] | None:
    """Return how much a photo of each class counts in the loss, or None where all photos count the same.

    The weights are those of scikit-learn's `class_weight="balanced"`, photos / (classes * photos of the class): all
    classes count the same together, and the mean weight of a photo is 1. Classes without a photo are not counted.

    Args:
        counts: training photos of each class.
        wanted: value of the hyperparameter `class_weights`.
    """
    if wanted == "none" or (wanted == "auto" and _imbalance(counts) < IMBALANCE_TO_WEIGH):
        return None
    share = sum(counts) / max(sum(count > 0 for count in counts), 1)
    return [share / count if count else 1.0 for count in counts]


def class_weights_reason(counts: Sequence[int], *, wanted: str) -> str:
    """Return in words why classes are weighted, and how to switch that off; empty where they are not."""
    if class_weights(counts, wanted=wanted) is None:
        return ""
    present = [count for count in counts if count]
    return (
        f"classes are weighted in the loss (imbalance {_imbalance(counts):.1f}:1, {max(present)} training photos of "
        f"the most frequent class and {min(present)} of the least; class_weights={wanted}); to switch it off, set "
        "class_weights to none"
    )


def _imbalance(counts: Sequence[int]) -> float:
    present = [count for count in counts if count] or [1]
    return max(present) / min(present)
