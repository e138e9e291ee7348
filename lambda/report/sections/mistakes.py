"""The wrong answers: the confusion matrix, and the photos behind each of its cells."""

from __future__ import annotations

from typing import Any, Final

from ..run_context import RunContext
from ..run_files import Missing, if_present

__all__ = ["confusion", "mistakes"]

CONFUSIONS_SHOWN: Final = 200
"""Pairs of confused classes in the table."""

MISTAKES_LISTED: Final = 500
"""Wrong answers that are listed, those with a picture first; a file has all of them."""

MISTAKES_OPEN: Final = 18
"""Wrong answers that are seen before a person asks for more."""


def confusion(run: RunContext) -> dict[str, Any]:
    """Return the cells of the matrix that are not zero: there are at most as many as photos."""
    evaluation = run.files.evaluation
    names, matrix = evaluation["classes"], evaluation["confusion_matrix"]

    cells = [(column, row, count) for row, counts in enumerate(matrix) for column, count in enumerate(counts) if count]
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    totals = [sum(counts) for counts in matrix]

    return {
        "names": names,
        "wrong": [
            {
                "row": row,
                "column": column,
                "label": names[row],
                "predicted": names[column],
                "count": count,
                "share": count / totals[row],
            }
            for column, row, count in wrong[:CONFUSIONS_SHOWN]
        ],
        "more": max(0, len(wrong) - CONFUSIONS_SHOWN),
        "charts": {"confusion": {"classes": names, "cells": cells, "totals": totals}},
    }


def mistakes(run: RunContext) -> dict[str, Any]:
    """Return the wrong answers, the hardest first, with their pictures as data: URIs as far as there are any."""
    evaluation = run.files.evaluation
    hardest = evaluation["hardest_mistakes"]
    if not hardest:
        raise Missing("The model classified every test photo correctly.")

    # an earlier version listed the hardest only
    answers = if_present(lambda: run.files.wrong_answers) or hardest
    pictures = {answer["path"]: run.files.picture(answer["path"]) for answer in answers}
    listed = [answer for answer in answers if pictures[answer["path"]]]
    listed += [answer for answer in answers if not pictures[answer["path"]]][: max(0, MISTAKES_LISTED - len(listed))]
    listed.sort(key=lambda answer: -answer["confidence"])

    places = {name: place for place, name in enumerate(evaluation["classes"])}
    scores = {mistake["path"]: mistake["label_score"] for mistake in hardest}
    heat_maps = {mistake["path"]: run.files.heat_map(mistake["path"]) for mistake in hardest}
    return {
        "heat_maps": any(heat_maps.values()),
        "mistakes": [
            {
                **answer,
                "row": places.get(answer["label"]),
                "column": places.get(answer["predicted"]),
                "label_score": scores.get(answer["path"]),
                "picture": pictures[answer["path"]],
                "heat_map": heat_maps.get(answer["path"]),
            }
            for answer in listed
        ],
        "open": MISTAKES_OPEN,
        "total": len(answers),
        "labels": _names(evaluation["classes"], {answer["label"] for answer in listed}),
        "predictions": _names(evaluation["classes"], {answer["predicted"] for answer in listed}),
    }


def _names(classes: list[str], used: set[str]) -> list[tuple[int, str]]:
    return [(place, name) for place, name in enumerate(classes) if name in used]
