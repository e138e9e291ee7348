"""Class weights as a tensor, for the losses of heads and of fine-tuning."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import contract

__all__ = ["class_counts", "class_weights"]


def class_counts(labels: NDArray[np.int64], *, classes: int) -> list[int]:
    """Return the number of photos of each class, from the label of each photo."""
    counts: list[int] = np.bincount(labels, minlength=classes).tolist()
    return counts


def class_weights(counts: list[int], *, wanted: str) -> Tensor | None:
    """Return the `weight` of PyTorch's cross-entropy, float32 of (classes,), or None where all photos count the same.

    Args:
        counts: training photos of each class.
        wanted: value of the hyperparameter `class_weights`.
    """
    weights = contract.class_weights(counts, wanted=wanted)
    return None if weights is None else torch.tensor(weights)
