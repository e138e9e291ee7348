"""The table of `whippet classify`: what the API answers to each photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from contract import Answer, ServedModel

__all__ = ["ALL_CLASSES", "add_answer", "answers_table", "known_word", "model_words"]

ALL_CLASSES: Final = 1_000_000
"""More classes than any model has: the score of every label in a set is wanted."""


def answers_table() -> Table:
    """Return a table without rows."""
    return Table(
        Column("photo", overflow="fold"),
        "label",
        "score",
        "known",
        box=None,
        padding=(0, 2, 0, 0),
        caption_justify="left",
    )


def add_answer(table: Table, photo: Path, answer: Answer) -> None:
    """Add a row for each label: those of the set if one was asked for, else all predictions."""
    wanted = answer.get("labels")
    rows = [each for each in answer["predictions"] if wanted is None or each["label"] in wanted]
    for index, each in enumerate(rows):
        first = index == 0
        table.add_row(
            Text("" if not first else str(photo)),
            Text(each["label"]),
            f"{each['score']:.3f}",
            known_word(answer) if first else "",
        )
    if "reason" in answer:
        table.add_row("", Text(f"↳ {answer['reason']}", style="dim"), "", "")
    if "model" in answer:
        table.caption = model_words(answer["model"])


def model_words(model: ServedModel) -> str:
    """Return which model answered, in words."""
    return f"model of run {model['run']}, test accuracy {model['test_accuracy']:.1%}"


def known_word(answer: Answer) -> str:
    """Return whether the photo is known, in a word; a question mark for a model that cannot tell."""
    return {True: "yes", False: "no", None: "?"}[answer["known"]]
