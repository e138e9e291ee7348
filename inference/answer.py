"""From a model's outputs to the answer: known or unknown, the likeliest classes, and sets with a promised coverage."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

import contract

__all__ = ["CoverageError", "answer", "labels_with_coverage"]

_ROUNDING = 1e-9
"""A coverage of 0.95 is that level of the table, however both were rounded."""


class CoverageError(ValueError):
    """The model cannot promise the coverage that was asked for; the message says why, and what it can promise."""


def answer(
    card: contract.ModelCard,
    *,
    probabilities: NDArray[np.float32],
    distance: float | None,
    evidence: NDArray[np.float32] | None = None,
    top_k: int,
    coverage: float | None,
    name_unknown: bool,
    release: str = "",
) -> contract.Answer:
    """Return the answer to one photo.

    Args:
        card: the model's.
        probabilities: (classes,)
        distance: as the model file gives it, at most 1 for known photos; None for files that give none.
        evidence: (rows, columns), as the model file gives it; None where no heat map is asked for.
        top_k: number of predictions; all classes where it is more.
        coverage: probability with which `labels` is to hold the right label; None for no `labels`.
        name_unknown: whether `label` names the likeliest class of an unknown photo, too.
        release: its name; empty where there is none.

    Raises:
        CoverageError: the model cannot promise this coverage.
    """
    # the likeliest classes
    order = np.argsort(-probabilities, kind="stable")
    predictions: list[contract.Prediction] = [
        {"label": card["labels"][index], "score": float(probabilities[index])} for index in order[:top_k]
    ]
    likeliest = predictions[0]
    known = None if distance is None else distance <= 1
    content: contract.Answer = {
        "label": likeliest["label"],
        "score": likeliest["score"],
        "known": known,
        "distance": distance,
        "predictions": predictions,
        "model": {"run": card["run"], "test_accuracy": card["test_accuracy"]},
    }
    if release:
        content["model"]["release"] = release

    # what is said of an unknown photo
    if distance is not None and not known:
        share = card.get("known_share", contract.KNOWN_SHARE)
        content["reason"] = (
            f"the photo is unlike those that the model was trained on: its distance is {distance:.2f}, and {share:.0%} "
            "of the photos of known classes have at most 1"
        )
        if not name_unknown:
            content["label"] = None

    if coverage is not None:
        content["labels"] = labels_with_coverage(card, probabilities, coverage=coverage)
    if evidence is not None:
        content["heat_map"] = {
            "label": likeliest["label"],
            "values": contract.heat_values(evidence.tolist()),
            "crop": card["image_size"] / card["resize"],
        }
    return content


def labels_with_coverage(card: contract.ModelCard, probabilities: NDArray[np.float32], *, coverage: float) -> list[str]:
    """Return the set of labels that holds the right one with this probability, the likeliest label first.

    The set is never empty: a set without the likeliest label would help nobody, and holds the right one more seldom.

    Raises:
        CoverageError: the model cannot promise this coverage.
    """
    table = card.get("coverage")
    if table is None:
        raise CoverageError(
            "the model in service was released before sets of labels with a promised coverage, or with too few "
            "held-out photos for any; start a run, with more photos if it was released lately, or leave coverage out"
        )
    place = bisect_left(table["levels"], coverage - _ROUNDING)
    if place == len(table["levels"]):
        raise CoverageError(
            f"coverage {coverage:g} is more than the model in service can promise: it was released with "
            f"{table['photos']} held-out photos, which are enough for at most {table['levels'][-1]:g}; ask for that or "
            "less, or start a run with more photos"
        )
    lowest = table["lowest_scores"][place]
    order = np.argsort(-probabilities, kind="stable")
    return [card["labels"][index] for rank, index in enumerate(order) if rank == 0 or probabilities[index] >= lowest]
