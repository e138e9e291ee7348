"""What the report's verdict says beside yes and no: that a model guesses, and what to do next."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.report_files import RUN
from tests.fakes.report_page import Parsed
from tests.fakes.report_run import changed, files

EVALUATION = f"runs/{RUN}/results/evaluation.json"
DECISION = f"runs/{RUN}/decision.json"


def gap(objects: dict[str, bytes], outcome: str) -> dict[str, bytes]:
    """The files of a run whose verdict has looked at the accuracies on validation and test photos."""
    decision = json.loads(objects[DECISION])
    others = [check for check in decision["checks"] if check["name"] != "gap"]
    check = {"name": "gap", "outcome": outcome, "reason": "The accuracy is 0.9900 on 300 validation photos."}
    return changed(objects, "decision.json", checks=[*others, check])


def outcome(page: str) -> str:
    return " ".join(Parsed(page).sections["outcome"].split())


def sound(**changes: Any) -> dict[str, bytes]:
    """The files of a run that gives no reason for a step, with changes to its evaluation."""
    evaluation = json.loads(files()[EVALUATION])
    classes = [
        scores | {"recall_interval": {"low": 0.9, "high": 1.0, "level": 0.95}} for scores in evaluation["per_class"]
    ]
    nothing = {
        "near_copies": None,
        "by_group": None,
        "unknown": None,
        "per_class": classes,
        "validation_accuracy": 0.84,
    }
    interval = {"test_accuracy": 0.84, "test_accuracy_interval": {"low": 0.80, "high": 0.87, "level": 0.95}}
    objects = changed(files(), "results/check.json", findings=[])
    return changed(objects, "results/evaluation.json", **nothing | interval | changes)


@pytest.mark.parametrize(("constant", "guesses"), [(0.78, False), (0.80, True), (0.83, True), (0.95, True)])
def test_a_model_that_is_no_better_than_guessing_is_called_so(write: Any, constant: float, guesses: bool) -> None:
    metrics = {"accuracy_best_constant_classifier": {"value": constant, "standard_deviation": 0.01}}
    said = outcome(write(sound(multiclass_classification_metrics=metrics)))
    assert ("No better than guessing: who always answers “dress” is right on" in said) == guesses
    assert "No better" not in outcome(write(sound(multiclass_classification_metrics={})))


def test_nothing_is_asked_for_without_a_reason(write: Any) -> None:
    assert "What to do next" not in outcome(write(sound()))


def test_suspected_labels_and_damaged_photos_come_first_and_at_most_five_steps_are_said(write: Any) -> None:
    interval = {"low": 0.4, "high": 0.97, "level": 0.95}
    objects = changed(files(), "results/evaluation.json", validation_accuracy=0.99, test_accuracy_interval=interval)
    objects = gap(objects, "warned")
    page = Parsed(write(objects))
    said = " ".join(page.sections["outcome"].split())
    assert "Look at 30 photos whose label is suspected. They look like another class than their folder's, 1.6%" in said
    assert "Replace 1 damaged photo." in said
    steps = said.split("What to do next")[1]
    assert steps.index("whose label") < steps.index("damaged") < steps.index("near-copies")
    start = next(at for at, (_, attributes) in enumerate(page.tags) if attributes.get("class") == "steps")
    end = next(at for at, (tag, _) in enumerate(page.tags) if tag == "section" and at > start)
    assert [tag for tag, _ in page.tags[start:end]].count("li") == 5


@pytest.mark.parametrize(
    ("validation", "verdict", "is_said"),
    [(0.99, "warned", True), (0.99, "passed", False), (0.6, "warned", False)],
)
def test_splits_that_differ_are_a_step_where_the_verdict_says_so(
    write: Any, validation: float, verdict: str, is_said: bool
) -> None:
    said = outcome(write(gap(sound(validation_accuracy=validation), verdict)))
    expected = "The validation accuracy 99.0% is above the test accuracy 84.0% by more than chance: the two splits hold"
    assert (expected in said) == is_said
    assert ("What to do next" in said) == is_said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {
                "near_copies": {
                    "images": 1,
                    "others": 9,
                    "accuracy_of_others": 0.5,
                    "interval_of_others": None,
                    "examples": [],
                }
            },
            "Take 1 near-copy of training photos out of the test. The model has seen them: the accuracy is 84.0% with "
            "them and 50.0% without.",
        ),
        (
            {
                "by_group": {
                    "source": "look-alikes",
                    "groups": 12,
                    "images": 300,
                    "accuracy": 0.75,
                    "interval": {"low": 0.6, "high": 0.8, "level": 0.95},
                    "accuracy_by_photo": 0.9,
                }
            },
            "Take photos in more places, of more objects, on more days. Of photos from elsewhere expect 75.0%, not 90",
        ),
        (
            {"test_accuracy_interval": {"low": 0.4, "high": 0.97, "level": 0.95}, "test_images": 12},
            "Test on 195 more photos. With 12 the accuracy may be anything from 40.0% to 97.0%; with 207",
        ),
        (
            {
                "unknown": {
                    "known_share": 0.7,
                    "promised_share": 0.95,
                    "accuracy_known": None,
                    "accuracy_unknown": None,
                    "curve": [],
                    "oddest": [],
                }
            },
            "Train with photos like those of the test. 30.0% of the test photos are unlike everything",
        ),
    ],
)
def test_every_step_has_its_reason(write: Any, changes: dict[str, Any], said: str) -> None:
    assert said in outcome(write(sound(**changes)))


def test_an_undecided_verdict_asks_for_its_own_number_of_photos(write: Any) -> None:
    interval = {"test_accuracy_interval": {"low": 0.4, "high": 0.97, "level": 0.95}}
    objects = changed(sound(**interval), "decision.json", undecided=True, approval="PendingManualApproval")
    said = outcome(write(objects, failure={"TooFewTestPhotos": {"Error": "TooFewTestPhotos", "Cause": "too few"}}))
    assert "Undecided" in said
    assert "Add test photos until the verdict can tell." in said
    assert "more photos" not in said
    assert "a person was asked" not in said, "nobody was: approval is automatic"


def test_a_class_that_is_found_less_often_gets_photos_or_a_comparison(write: Any) -> None:
    evaluation = json.loads(sound()[EVALUATION])
    weak = {"recall": 0.4, "recall_interval": {"low": 0.25, "high": 0.57, "level": 0.95}}
    scores = [entry | weak if entry["name"] == "shirt" else entry for entry in evaluation["per_class"]]
    counts = [
        {"name": entry["name"], "train": 100 if entry["name"] != "shirt" else 88, "validation": 9, "test": 9}
        for entry in evaluation["per_class"]
    ]
    few = changed(sound(per_class=scores), "manifest/dataset.json", classes=counts)
    said = outcome(write(few))
    assert "Add 12 more photos of 'shirt' to the training. Of its 37 test photos 40% are found (25% to 57%" in said
    assert "it has 88 training photos where the median class has 100" in said

    enough = [entry | {"train": 100} for entry in counts]
    said = outcome(write(changed(sound(per_class=scores), "manifest/dataset.json", classes=enough)))
    assert "Compare the photos of 'shirt' with those of 'shoes'" in said
