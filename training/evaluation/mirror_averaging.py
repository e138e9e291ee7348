"""What averaging over a photo and its mirror image brings and costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import contract
from training.evaluation.calibration import softmax
from training.loop.history import standard_error

__all__ = ["averaged", "describe", "mirror_averaging"]

_SMALLEST = 1e-30


def averaged(plain: NDArray[Any], mirrored: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probabilities of the averaged logits, (N, classes), from those of each, which share a temperature."""
    both = np.stack([plain, mirrored]).astype(np.float64)
    return softmax(np.log(np.maximum(both, _SMALLEST)).mean(axis=0))


def mirror_averaging(
    plain: NDArray[np.float32],
    mirrored: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    served: bool,
    milliseconds: tuple[float, float],
) -> contract.MirrorAveraging:
    """Compare predictions with and without averaging, photo by photo.

    Args:
        plain: probabilities of the photos as they are, (N, classes).
        mirrored: of their mirror images, by the same model.
        labels: (N,)
        served: whether the served model averages.
        milliseconds: that one photo takes without averaging, and with it.
    """
    both = averaged(plain, mirrored)
    right = [(each.argmax(axis=1) == labels).astype(np.float64) for each in (plain, both)]
    losses = [-np.log(np.maximum(each[np.arange(len(labels)), labels], _SMALLEST)) for each in (plain, both)]
    return {
        "served": served,
        "images": len(labels),
        "accuracy": float(right[0].mean()),
        "averaged_accuracy": float(right[1].mean()),
        "accuracy_gain_error": standard_error(right[1] - right[0]),
        "loss": float(losses[0].mean()),
        "averaged_loss": float(losses[1].mean()),
        "loss_gain_error": standard_error(losses[1] - losses[0]),
        "milliseconds": milliseconds[0],
        "averaged_milliseconds": milliseconds[1],
    }


def describe(found: contract.MirrorAveraging) -> str:
    """Return the line of the job's log."""
    return (
        f"mirror averaging ({'served' if found['served'] else 'not served'}): "
        f"accuracy {found['accuracy']:.4f} -> {found['averaged_accuracy']:.4f} "
        f"(standard error of the difference {found['accuracy_gain_error']:.4f}), "
        f"loss {found['loss']:.4f} -> {found['averaged_loss']:.4f} ({found['loss_gain_error']:.4f}), "
        f"{found['milliseconds']:.1f} -> {found['averaged_milliseconds']:.1f} ms a photo; "
        f"in float32, on {found['images']} validation photos"
    )
