"""Pictures of a training's result, each drawn from the numbers that stand beside it in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import contract

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_confusion_matrix", "draw_history", "draw_per_class", "draw_reliability"]

_MOST_LABELLED = 30
"""Classes up to which the matrix has the numbers in its cells; beyond, they would not be legible."""
_MOST_BARS = 60


def draw_confusion_matrix(file: Path, matrix: NDArray[np.int64], *, classes: Sequence[str]) -> None:
    """Draw the matrix, each row shaded by its share, with the counts where there is room for them."""
    side = min(4 + 0.4 * len(classes), 24)
    figure, axes = _figure(width=side, height=side)
    axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true", title=f"{np.trace(matrix)} of {matrix.sum()} test photos right")
    if len(classes) <= _MOST_LABELLED:
        axes.set_xticks(range(len(classes)), [_plain(name) for name in classes], rotation=90)
        axes.set_yticks(range(len(classes)), [_plain(name) for name in classes])
        for row, column in np.argwhere(matrix):
            strong = matrix[row, column] > matrix[row].sum() / 2
            axes.text(
                column, row, str(matrix[row, column]), ha="center", va="center", color="white" if strong else "black"
            )
    figure.savefig(file, dpi=100)


def draw_history(
    file: Path,
    *,
    train_loss: Sequence[float],
    validation_loss: Sequence[float],
    validation_accuracy: Sequence[float],
    kept: int,
) -> None:
    """Draw losses and accuracy by epoch; `best` is the epoch whose model was kept, counted from 1."""
    epochs = range(1, len(train_loss) + 1)
    figure, axes = _figure(width=7, height=4.5)
    axes.plot(epochs, train_loss, marker=".", label="training loss")
    axes.plot(epochs, validation_loss, marker=".", label="validation loss")
    axes.set(xlabel="epoch", ylabel="loss", title="Training")
    axes.set_ylim(bottom=0)

    # accuracy has an axis of its own
    right = axes.twinx()
    right.plot(epochs, validation_accuracy, marker=".", color="tab:green", label="validation accuracy")
    right.set_ylabel("accuracy")

    axes.axvline(kept, color="grey", linestyle=":", label=f"kept epoch: {kept}")
    figure.legend(loc="outside lower center", ncols=4, fontsize="small")
    figure.savefig(file, dpi=100)


def draw_reliability(file: Path, calibration: contract.Calibration) -> None:
    """Draw accuracy against confidence; on the diagonal a score is a frequency."""
    bins = [entry for entry in calibration["bins"] if entry["images"]]
    most = max((entry["images"] for entry in bins), default=1)
    figure, axes = _figure(width=5.5, height=5.5)

    # perfect calibration, and what was measured
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.bar(
        [entry["low"] for entry in bins],
        [entry["accuracy"] for entry in bins],
        width=[entry["high"] - entry["low"] for entry in bins],
        align="edge",
        color=[(0.12, 0.47, 0.71, 0.25 + 0.75 * entry["images"] / most) for entry in bins],
        edgecolor="white",
    )
    axes.scatter([entry["confidence"] for entry in bins], [entry["accuracy"] for entry in bins], color="black", s=9)

    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="score of the answer",
        ylabel="share of right answers (darker: more photos)",
        title=f"Expected calibration error {calibration['expected_calibration_error']:.3f} "
        f"(before scaling {calibration['expected_calibration_error_before']:.3f})",
    )
    figure.savefig(file, dpi=100)


def draw_per_class(file: Path, scores: Sequence[contract.ClassScores]) -> None:
    """Draw the F1 of each class, the worst first; of very many classes only the worst ones."""
    worst = sorted(scores, key=lambda score: score["f1"])[:_MOST_BARS]
    figure, axes = _figure(width=6, height=1.5 + 0.25 * len(worst))
    bars = axes.barh([_plain(score["name"]) for score in worst], [score["f1"] for score in worst])
    axes.bar_label(bars, labels=[f"{score['f1']:.2f}" for score in worst], padding=2, fontsize="small")
    axes.set(xlim=(0, 1.1), xlabel="F1", title="F1 by class, worst first")
    axes.invert_yaxis()
    figure.savefig(file, dpi=100)


def _figure(*, width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _plain(name: str) -> str:
    """Return a class name as matplotlib prints it literally: dollar signs would start a formula."""
    return name.replace("$", r"\$")
