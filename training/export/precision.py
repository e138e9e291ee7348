"""Which form of the model is served: int8 where it is as good as float32 and quicker, else float32."""

from __future__ import annotations

from dataclasses import dataclass

import contract

__all__ = ["Choice", "choose"]

_QUICKER = 0.9
"""Share of float32's time that int8 must stay below, so that chance cannot decide."""


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
    """int8, unless it loses more accuracy than `accuracy_loss`, any class more recall than `class_loss`, or is no
    quicker. Both were measured on the same test photos."""
    lost = fp32["test_accuracy"] - int8["test_accuracy"]
    figures = f"test accuracy {int8['test_accuracy']:.4f} against {fp32['test_accuracy']:.4f} in fp32"
    if _above(lost, accuracy_loss):
        return Choice("fp32", f"int8 loses too much: {figures}, and at most {accuracy_loss:.3f} may go")
    worst, name = max(
        (before["recall"] - after["recall"], before["name"])
        for before, after in zip(fp32_classes, int8_classes, strict=True)
    )
    if _above(worst, class_loss):
        return Choice(
            "fp32",
            f"int8 loses {worst:.4f} of the recall of class {name!r}, and at most {class_loss:.3f} may go ({figures})",
        )
    if int8["milliseconds"] > _QUICKER * fp32["milliseconds"]:
        return Choice(
            "fp32", f"int8 is not quicker here: {int8['milliseconds']:.1f} ms against {fp32['milliseconds']:.1f} ms"
        )
    return Choice(
        "int8",
        f"int8 is as good ({figures}) and {fp32['milliseconds'] / int8['milliseconds']:.1f} times as fast",
    )


def _above(loss: float, limit: float) -> bool:
    return round(loss - limit, 9) > 0  # a loss of exactly the limit is not lost to binary fractions
