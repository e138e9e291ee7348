"""The distance of a model file: its parts beside each other, and what makes known photos at most 1 away."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import contract
from training.model.distance import PARTS

__all__ = ["PARTS_OUTPUT", "Calibrated", "calibrate", "write_calibrated", "write_with_parts"]

PARTS_OUTPUT: Final = "parts"
"""Name of the output, (N, parts), of files that are judged and not served."""

WEIGHTS: Final = {"mahalanobis": 4.0, "discriminant": 1.5, "logit": 1.0, "entropy": 1.0}
"""How much the parts count, each in its standard deviations over known photos: chosen on training photos
(docs/decisions/unknown.md)."""

BEYOND: Final = 2.5
"""Standard deviations above its mean over known photos from which on the whole Mahalanobis distance counts: below,
the other parts tell more."""

USUAL: Final = 0.95
"""Quantile of each part above which photos do not say what is usual."""

_LEAST: Final = {"mahalanobis": 1e-3, "discriminant": 1e-3, "logit": 0.01, "entropy": 0.02}
"""Standard deviation that a part has at least: a few photos that a model is sure of may be all alike."""

_SMALLEST: Final = 1e-6
"""Threshold at least: photos that are all alike have the distance 0."""

_OFFSETS, _WEIGHTS = "distance.offsets", "distance.weights"


@dataclass(frozen=True)
class Calibrated:
    """What makes the parts of a distance one number, at most 1 for known photos."""

    offsets: NDArray[np.float32]
    """What each part counts from, (parts,)."""
    weights: NDArray[np.float32]
    """(parts,)"""
    share: float
    """Share of known photos that are at most 1 away."""
    photos: int
    """Photos that this is known from."""


def calibrate(parts: NDArray[np.float32], *, share: float = contract.KNOWN_SHARE) -> Calibrated:
    """Return offsets and weights by photos that neither the distance nor the head has learnt from.

    The threshold is the ceil((n + 1) x share)-th smallest distance of n photos: another photo of the same kind is
    below it with at least that probability (split conformal prediction). Fewer than share / (1 - share) photos cannot
    promise that; then the largest distance is the threshold, and n / (n + 1) is the share.

    Args:
        parts: of held-out photos of the known classes, (photos, parts), as the model file gives them.
        share: of known photos that is wanted at most 1 away.
    """
    photos = len(parts)
    values = parts.astype(np.float64)

    # A single odd photo may be a million times as far as the others, where a feature hardly ever changed in training.
    # So the farthest ones count as the nearest of them.
    usual = np.minimum(values, np.quantile(values, USUAL, axis=0))
    mean, deviation = usual.mean(axis=0), np.maximum(usual.std(axis=0), [_LEAST[part] for part in PARTS])

    # what each part counts from: 0, the surest photo's logit, or well above the mean
    offset_of = dict.fromkeys(PARTS, 0.0)
    at = {part: index for index, part in enumerate(PARTS)}
    offset_of["logit"] = float(values[:, at["logit"]].min())
    offset_of["mahalanobis"] = float((mean + BEYOND * deviation)[at["mahalanobis"]])
    offsets = np.array([offset_of[part] for part in PARTS]).astype(np.float32)
    weights = np.array([WEIGHTS[part] for part in PARTS]) / deviation

    # the distance that the share of known photos does not exceed
    reachable = min(share, photos / (photos + 1))
    place = min(photos, math.ceil((photos + 1) * reachable - 1e-9))
    distances = np.maximum(values - offsets, 0) @ weights
    threshold = max(float(np.sort(distances)[place - 1]), _SMALLEST)

    # a hair's breadth above it, so that the photo at the threshold counts as known in float32, too
    weights = (weights / (threshold * (1 + 1e-5))).astype(np.float32)
    return Calibrated(offsets=offsets, weights=weights, share=reachable, photos=photos)


def write_with_parts(file: Path, output: Path) -> None:
    """Write a copy of a model file that gives the distance's parts, (N, parts), as the output `parts`, too.

    Raises:
        ValueError: the file has no distance.
    """
    import onnx

    model = onnx.load(file)
    inputs = next((list(node.input) for node in model.graph.node if _OFFSETS in node.input), None)
    if inputs is None:
        raise ValueError(f"{file.name} has no {_OFFSETS}")
    (parts,) = (name for name in inputs if name != _OFFSETS)
    model.graph.node.append(onnx.helper.make_node("Identity", [parts], [PARTS_OUTPUT]))
    shape: list[str | int | None] = ["images", len(PARTS)]
    model.graph.output.append(onnx.helper.make_tensor_value_info(PARTS_OUTPUT, onnx.TensorProto.FLOAT, shape))
    onnx.save(model, output)


def write_calibrated(file: Path, calibrated: Calibrated) -> None:
    """Give a model file's distance these offsets and weights.

    Raises:
        ValueError: the file has no distance.
    """
    import onnx

    model = onnx.load(file)
    values = {_OFFSETS: calibrated.offsets, _WEIGHTS: calibrated.weights[:, np.newaxis]}
    found: list[Any] = [tensor for tensor in model.graph.initializer if tensor.name in values]
    if len(found) != len(values):
        raise ValueError(f"{file.name} has no {' and '.join(values)}")
    for tensor in found:
        tensor.CopyFrom(onnx.numpy_helper.from_array(values[tensor.name], tensor.name))
    onnx.save(model, file)
