from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.evaluation.intervals import wilson
from training.evaluation.scores import (
    MISTAKES,
    class_scores,
    confusion_matrix,
    hardest_mistakes,
    measure,
    top_k_accuracy,
)

CLASSES = ["a", "b", "c"]


def answers(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32)


def test_rows_are_the_true_classes() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), classes=3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_scores_of_each_class() -> None:
    first, second, third = class_scores(np.array([[3, 1, 0], [0, 4, 0], [0, 3, 0]]), classes=CLASSES)
    assert first == {
        "name": "a",
        "images": 4,
        "precision": 1.0,
        "recall": 0.75,
        "recall_interval": wilson(3, 4),
        "f1": 6 / 7,
    }
    assert second["precision"] == 0.5
    assert (third["images"], third["precision"], third["recall"], third["f1"]) == (3, 0.0, 0.0, 0.0)


def test_a_class_without_test_photos_scores_zero_and_does_not_fail() -> None:
    assert class_scores(np.zeros((1, 1), dtype=np.int64), classes=["a"])[0]["f1"] == 0.0


def test_top_k_counts_the_class_among_the_likeliest() -> None:
    probabilities = answers((0.5, 0.3, 0.2), (0.5, 0.3, 0.2), (0.5, 0.3, 0.2))
    labels = np.array([0, 1, 2])
    assert [top_k_accuracy(probabilities, labels, k=k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_a_model_that_answers_the_same_for_all_classes_is_in_no_top_k() -> None:
    assert top_k_accuracy(np.full((2, 4), 0.25), np.array([0, 3]), k=2) == 0.0


def test_the_surest_wrong_answers_come_first_with_their_files() -> None:
    probabilities = answers((0.9, 0.1, 0.0), (0.6, 0.3, 0.1), (0.2, 0.8, 0.0), (0.1, 0.2, 0.7))
    found = hardest_mistakes(probabilities, np.array([0, 1, 2, 0]), paths=["0", "1", "2", "3"], classes=CLASSES)
    assert [mistake["path"] for mistake in found] == ["2", "3", "1"]
    assert found[0] == {
        "path": "2",
        "label": "c",
        "predicted": "b",
        "confidence": pytest.approx(0.8),
        "label_score": 0.0,
    }


def test_no_more_mistakes_are_listed_than_people_read() -> None:
    found = hardest_mistakes(
        np.tile([0.9, 0.1], (50, 1)), np.ones(50, dtype=np.int64), paths=["p"] * 50, classes=["a", "b"]
    )
    assert len(found) == MISTAKES


def test_everything_is_measured_on_the_same_answers() -> None:
    probabilities = answers((0.7, 0.2, 0.1), (0.6, 0.3, 0.1), (0.1, 0.1, 0.8), (0.1, 0.8, 0.1))
    labels = np.array([0, 1, 2, 1])
    scores = measure(probabilities, labels, paths=list("abcd"), classes=CLASSES, temperature=2.0, seed=0)
    assert scores["test_accuracy"] == 0.75
    assert scores["test_top_5_accuracy"] == 1.0
    assert scores["test_images"] == 4
    assert scores["test_loss"] == pytest.approx(-np.log([0.7, 0.3, 0.8, 0.8]).mean(), rel=1e-5)
    assert scores["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert scores["multiclass_classification_metrics"]["accuracy"]["value"] == 0.75
    assert [mistake["path"] for mistake in scores["hardest_mistakes"]] == ["b"]
    calibration = scores["calibration"]
    # Divided by two, logits gave these scores; undivided ones were surer, also of the mistake.
    assert calibration["expected_calibration_error_before"] != calibration["expected_calibration_error"]
    assert sum(entry["images"] for entry in calibration["bins"]) == 4
