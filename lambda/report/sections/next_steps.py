"""What to do next, in words: a few sentences, each with its reason, the most useful first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import Any, Final

import contract

from ..run_context import RunContext
from ..run_files import if_present

__all__ = ["next_steps"]

STEPS_SHOWN: Final = 5

WIDE: Final = 0.1
"""Width of an accuracy's interval above which more test photos are asked for."""

GAP: Final = 0.05
"""Difference of two accuracies from which it is worth a step."""

_Z: Final = 1.96
"""Of intervals with 95 % confidence."""


def next_steps(run: RunContext) -> list[dict[str, Any]]:
    """Return what to do, `do`, and the reason, `why`: at most five, the most useful first."""
    evaluation = run.files.evaluation
    check = if_present(lambda: run.files.check)
    summary = if_present(lambda: run.files.dataset)
    decision = if_present(lambda: run.files.decision)
    steps = [
        *(_of_photos(check) if check else ()),
        *_of_copies(evaluation),
        *_of_the_split(evaluation, decision),
        *_of_classes(evaluation, summary),
        *_of_test_photos(evaluation, undecided=bool(decision and decision["undecided"])),
        *_of_unknown(evaluation),
    ]
    return [{"do": do, "why": why} for do, why in steps[:STEPS_SHOWN]]


def _of_photos(check: contract.DatasetCheck) -> Iterator[tuple[str, str]]:
    counts = Counter(finding["kind"] for finding in check["findings"])
    if counts["label"]:
        yield (
            f"Look at {contract.counted(counts['label'], 'photo')} whose label is suspected.",
            f"They look like another class than their folder's, {counts['label'] / max(1, check['photos']):.1%} of all "
            "photos; a wrong label is learnt as a right one, and in the test it counts against the model.",
        )
    if counts["unreadable"]:
        yield (
            f"Replace {contract.counted(counts['unreadable'], 'damaged photo')}.",
            "Nothing was learnt from what cannot be read.",
        )


def _of_copies(evaluation: contract.Evaluation) -> Iterator[tuple[str, str]]:
    found = evaluation["near_copies"]
    if not found or not found["images"]:
        return
    others = found["accuracy_of_others"]
    yield (
        f"Take {contract.counted(found['images'], 'near-copy', 'near-copies')} of training photos out of the test.",
        "The model has seen them"
        + (
            "."
            if others is None
            else f": the accuracy is {evaluation['test_accuracy']:.1%} with them and {others:.1%} without."
        ),
    )


def _of_the_split(evaluation: contract.Evaluation, decision: contract.Decision | None) -> Iterator[tuple[str, str]]:
    by_group, accuracy = evaluation["by_group"], evaluation["test_accuracy"]
    if by_group and by_group["accuracy_by_photo"] - by_group["accuracy"] >= GAP:
        yield (
            "Take photos in more places, of more objects, on more days.",
            f"Of photos from elsewhere expect {by_group['accuracy']:.1%}, not {by_group['accuracy_by_photo']:.1%}: so "
            f"much is right where whole groups of photos are held out ({by_group['groups']:,} groups).",
        )
    # whether the two differ by more than chance is the verdict's word
    validation = evaluation["validation_accuracy"]
    differ = decision and any(check["name"] == "gap" and check["outcome"] == "warned" for check in decision["checks"])
    if differ and validation > accuracy:
        yield (
            "Train with photos like those of the test, and look for near-copies between training and validation.",
            f"The validation accuracy {validation:.1%} is above the test accuracy {accuracy:.1%} by more than "
            "chance: the two splits hold different photos.",
        )


def _of_classes(evaluation: contract.Evaluation, summary: contract.DatasetSummary | None) -> Iterator[tuple[str, str]]:
    """Yield a step for the classes that are found surely less often than all photos are, the worst first."""
    trained = {entry["name"]: entry["train"] for entry in summary["classes"]} if summary else {}
    usual = median(trained.values()) if trained else 0
    weak = [
        scores
        for scores in evaluation["per_class"]
        if scores["images"]
        and scores["recall_interval"]
        and scores["recall_interval"]["high"] < evaluation["test_accuracy"]
    ]
    for scores in sorted(weak, key=lambda scores: scores["recall"])[:2]:
        name, interval = scores["name"], scores["recall_interval"]
        found = (
            f"Of its {scores['images']:,} test photos {scores['recall']:.0%} are found ({interval['low']:.0%} to "
            f"{interval['high']:.0%} with {interval['level']:.0%} confidence)"
        )
        lacking = math.ceil(usual - trained.get(name, usual))
        if lacking > 0:
            yield (
                f"Add {contract.counted(lacking, 'more photo')} of '{name}' to the training.",
                f"{found}, and it has {trained[name]:,} training photos where the median class has {usual:,.0f}.",
            )
        else:
            other, times = _taken_for(evaluation, name)
            yield (
                f"Compare the photos of '{name}' with those of '{other}', and add more that tell the two apart.",
                f"{found}, and {times:,} {'is' if times == 1 else 'are'} taken for '{other}'.",
            )


def _taken_for(evaluation: contract.Evaluation, name: str) -> tuple[str, int]:
    """Return the class that photos of this one are most often taken for, and how often."""
    classes = evaluation["classes"]
    row = evaluation["confusion_matrix"][classes.index(name)]
    count, place = max((count, -place) for place, count in enumerate(row) if classes[place] != name)
    return classes[-place], count


def _of_test_photos(evaluation: contract.Evaluation, *, undecided: bool) -> Iterator[tuple[str, str]]:
    if undecided:
        yield (
            "Add test photos until the verdict can tell.",
            "The undecided check above says how many, and of which classes first.",
        )
        return
    interval, accuracy, images = (
        evaluation["test_accuracy_interval"],
        evaluation["test_accuracy"],
        evaluation["test_images"],
    )
    if interval["high"] - interval["low"] <= WIDE:
        return
    # the normal approximation of the interval's width; a share of 1 or 0 is taken for a little less
    share = min(max(accuracy, 0.05), 0.95)
    needed = math.ceil(share * (1 - share) * (2 * _Z / WIDE) ** 2)
    yield (
        f"Test on {contract.counted(max(1, needed - images), 'more photo')}.",
        f"With {images:,} the accuracy may be anything from {interval['low']:.1%} to {interval['high']:.1%}; with "
        f"{needed:,} it is known to about {WIDE / 2:.0%} up and down.",
    )


def _of_unknown(evaluation: contract.Evaluation) -> Iterator[tuple[str, str]]:
    found = evaluation["unknown"]
    if found and found["promised_share"] - found["known_share"] >= GAP:
        yield (
            "Train with photos like those of the test.",
            f"{1 - found['known_share']:.1%} of the test photos are unlike everything that the model was trained on, "
            f"where {1 - found['promised_share']:.1%} were to be expected.",
        )
