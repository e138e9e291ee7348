"""The choice of the served model's precision: int8 where it is as accurate as float32, else float32.

Only accuracy decides. It is the same on every machine, while a time measured on the training job's says little about
the endpoint's, which may be of another processor and shares its cores otherwise. And only validation photos decide: a
choice by the test photos would make the reported test accuracy too good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

import contract
from training.loop.history import standard_error

__all__ = ["Choice", "choose"]


@dataclass(frozen=True)
class Choice:
    """The precision that is served, and why."""

    precision: contract.Precision
    reason: str


@dataclass(frozen=True)
class _Loss:
    """What int8 loses on some photos, as a share of them."""

    images: int
    mean: float
    error: float
    """Standard error of `mean`, by photo: photos that both get right, or both wrong, tell nothing of it."""

    @classmethod
    def of(cls, lost: NDArray[np.int64]) -> _Loss:
        """Return the loss over photos (N,): 1 where only float32 is right, -1 where only int8 is, else 0."""
        images = len(lost)
        # A single photo has no deviation; it can't tell less than one photo of one.
        return cls(images, float(lost.mean()), max(standard_error(lost), 1 / images))

    def beyond(self, limit: float, *, errors: float) -> float:
        """Return by how much the loss is above the limit and so many standard errors."""
        return round(self.mean - limit - errors * self.error, 9)  # not lost to binary fractions


def choose(
    *,
    fp32: NDArray[np.int64],
    int8: NDArray[np.int64],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    accuracy_loss: float = contract.INT8_ACCURACY_LOSS,
    class_loss: float = contract.INT8_CLASS_LOSS,
) -> Choice:
    """Choose int8, unless it loses more than is accepted, by more than these photos may show by chance.

    Both models' predictions are compared photo by photo. A loss counts as too large if it is above its limit by more
    than one standard error of the difference, so that on few photos one of them never decides: a single lost photo is
    exactly one standard error. Of many classes, the one that loses most by chance loses more than one error; their
    margin grows with their number (Bonferroni's correction), so that some class is beyond it by chance as seldom as all
    photos together are beyond one error.

    Args:
        fp32: predictions of the float32 model, (N,), for photos that the head in both models has not learnt from: on
            learnt ones it is so sure that quantization changes few predictions.
        int8: predictions of the int8 model, (N,).
        labels: (N,)
        classes: names of the classes.
        accuracy_loss: largest loss of accuracy, 0 to 1, that is accepted.
        class_loss: largest loss of any class's recall, 0 to 1, that is accepted.
    """
    lost = (fp32 == labels).astype(np.int64) - (int8 == labels)

    # accuracy over all photos
    total = _Loss.of(lost)
    figures = (
        f"validation accuracy {(int8 == labels).mean():.4f} against {(fp32 == labels).mean():.4f} in fp32 on "
        f"{total.images} photos"
    )
    allowed = f"up to {accuracy_loss:.3f} may be lost, and a standard error of {total.error:.4f}"
    if total.beyond(accuracy_loss, errors=1) > 0:
        return Choice("fp32", f"int8 loses too much: {figures}; {allowed}")

    # recall of the class that is furthest beyond its limit
    of_classes = {classes[label]: _Loss.of(lost[labels == label]) for label in np.unique(labels)}
    errors = _errors_of_the_worst(len(of_classes))
    name, worst = max(of_classes.items(), key=lambda item: item[1].beyond(class_loss, errors=errors))
    if worst.beyond(class_loss, errors=errors) > 0:
        return Choice(
            "fp32",
            f"int8 loses {worst.mean:.4f} of the recall of class {name!r} on {worst.images} photos; up to "
            f"{class_loss:.3f} may be lost, and {errors:.1f} standard errors of {worst.error:.4f} ({figures})",
        )
    return Choice("int8", f"int8 is as accurate: {figures}; {allowed}")


def _errors_of_the_worst(classes: int) -> float:
    """Return how many standard errors the worst of so many classes exceeds as seldom as a single one exceeds one."""
    normal = NormalDist()
    return normal.inv_cdf(1 - (1 - normal.cdf(1)) / classes)
