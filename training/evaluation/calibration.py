"""Calibration: the temperature with which a score of 0.8 is right eight times in ten, and the error without it.

Temperature scaling and the expected calibration error are those of Guo et al., "On Calibration of Modern Neural
Networks" (2017): one number, fitted on photos that were held out, by which all logits are divided. It changes no
prediction, only its probability.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import contract

__all__ = ["expected_calibration_error", "fit_temperature", "reliability", "rescaled", "softmax"]

BINS = 15
"""As in the paper."""

_LOG_BOUNDS = (math.log(0.1), math.log(10.0))
_GOLDEN = (math.sqrt(5) - 1) / 2
_PRECISION = 1e-4


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probabilities of logits, both (N, classes)."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def fit_temperature(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Return the temperature that makes these labels likeliest; above 1 the model was overconfident.

    The likelihood alone would give temperature zero to a head that is right on all of a few validation photos: it would
    be certain of everything. So the logarithm of the temperature has a normal prior with mean 0 and standard deviation
    1, which a hundred photos outweigh.

    Args:
        logits: (N, classes), of photos the model was not trained on.
        labels: (N,)
    """
    scores = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    of_labels = scores[np.arange(len(labels)), labels]

    def cost(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        unlikeliness = np.log(np.exp(scores * inverse).sum(axis=1)).sum() - of_labels.sum() * inverse
        return float(unlikeliness) + log_temperature**2 / 2

    return math.exp(_lowest(cost, *_LOG_BOUNDS))


def rescaled(probabilities: NDArray[Any], *, temperature: float) -> NDArray[np.float64]:
    """Return the probabilities as if their logits were divided by `temperature`, (N, classes)."""
    return softmax(np.log(np.maximum(probabilities, 1e-30)) / temperature)


def reliability(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> list[contract.ReliabilityBin]:
    """Return how often the predicted class was right, by its probability: bins of equal width from 0 to 1."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins: list[contract.ReliabilityBin] = []
    for index in range(BINS):
        inside = bin_of == index
        images = int(inside.sum())
        bins.append(
            {
                "low": index / BINS,
                "high": (index + 1) / BINS,
                "images": images,
                "confidence": float(confidence[inside].mean()) if images else 0.0,
                "accuracy": float(right[inside].mean()) if images else 0.0,
            }
        )
    return bins


def expected_calibration_error(bins: list[contract.ReliabilityBin]) -> float:
    """Return the mean distance of confidence and accuracy over the bins, weighted by their photos; 0 without any."""
    images = sum(entry["images"] for entry in bins)
    return sum(entry["images"] * abs(entry["confidence"] - entry["accuracy"]) for entry in bins) / max(images, 1)


def _lowest(cost: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function with one minimum between `low` and `high` has it, by golden-section search."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = cost(left), cost(right)
    while high - low > _PRECISION:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = cost(right)
    return (low + high) / 2
