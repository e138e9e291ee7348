"""The choice of the served model's precision: int8 where it is as accurate as float32, else float32.

Only accuracy decides. It is the same on every machine, while a time measured on the training job's says little about
the endpoint's, which may be of another processor and shares its cores otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import contract

__all__ = ["Choice", "choose"]


@dataclass(frozen=True)
class Choice:
    """The precision that is served, and why."""

    precision: contract.Precision
    reason: str


def choose(
    fp32: contract.ModelFile,
    int8: contract.ModelFile,
    *,
    fp32_classes: list[contract.ClassScores],
    int8_classes: list[contract.ClassScores],
    accuracy_loss: float = contract.INT8_ACCURACY_LOSS,
    class_loss: float = contract.INT8_CLASS_LOSS,
) -> Choice:
    """Choose int8, unless it loses too much.

    Args:
        fp32: the float32 model's accuracy.
        int8: the same of the int8 model, tested on the same photos.
        fp32_classes: the float32 model's scores of each class.
        int8_classes: the int8 model's.
        accuracy_loss: largest loss of accuracy, 0 to 1, that is accepted.
        class_loss: largest loss of any class's recall, 0 to 1, that is accepted.
    """
    # accuracy over all photos
    lost = fp32["test_accuracy"] - int8["test_accuracy"]
    figures = f"test accuracy {int8['test_accuracy']:.4f} against {fp32['test_accuracy']:.4f} in fp32"
    if _above(lost, accuracy_loss):
        return Choice("fp32", f"int8 loses too much: {figures}; at most {accuracy_loss:.3f} may be lost")

    # recall of the class that loses most
    worst, name = max(
        (before["recall"] - after["recall"], before["name"])
        for before, after in zip(fp32_classes, int8_classes, strict=True)
    )
    if _above(worst, class_loss):
        return Choice(
            "fp32",
            f"int8 loses {worst:.4f} of the recall of class {name!r}; at most {class_loss:.3f} may be lost ({figures})",
        )
    return Choice("int8", f"int8 is as accurate: {figures}; up to {accuracy_loss:.3f} may be lost")


def _above(loss: float, limit: float) -> bool:
    return round(loss - limit, 9) > 0  # a loss of exactly the limit is not lost to binary fractions
