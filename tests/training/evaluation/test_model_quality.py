from __future__ import annotations

import json

import numpy as np
import pytest

import contract
from training.evaluation.model_quality import model_quality

MATRIX = np.array([[40, 8, 2], [5, 20, 5], [0, 4, 16]])
CLASSES = ["a", "b", "c"]


def value(metrics: contract.MulticlassMetrics, name: str) -> float:
    return float(metrics[name]["value"])  # type: ignore[literal-required]


def test_has_sagemakers_names_and_shape() -> None:
    metrics = model_quality(MATRIX, classes=CLASSES, seed=0)
    assert set(metrics) == set(contract.MulticlassMetrics.__annotations__)
    assert metrics["confusion_matrix"]["a"] == {"a": 40, "b": 8, "c": 2}
    json.dumps(metrics, allow_nan=False)


def test_values_are_those_of_the_definitions() -> None:
    metrics = model_quality(MATRIX, classes=CLASSES, seed=0)
    weights = np.array([50, 30, 20]) / 100
    precision, recall = np.array([40 / 45, 20 / 32, 16 / 23]), np.array([40 / 50, 20 / 30, 16 / 20])
    assert value(metrics, "accuracy") == pytest.approx(0.76)
    assert value(metrics, "weighted_recall") == pytest.approx(weights @ recall)
    assert value(metrics, "weighted_precision") == pytest.approx(weights @ precision)
    for name, beta in (("weighted_f0_5", 0.5), ("weighted_f1", 1), ("weighted_f2", 2)):
        each = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
        assert value(metrics, name) == pytest.approx(weights @ each)


def test_the_best_constant_classifier_calls_all_by_the_most_frequent_class() -> None:
    metrics = model_quality(MATRIX, classes=CLASSES, seed=0)
    assert value(metrics, "accuracy_best_constant_classifier") == 0.5
    assert value(metrics, "weighted_recall_best_constant_classifier") == 0.5
    assert value(metrics, "weighted_precision_best_constant_classifier") == 0.25
    assert value(metrics, "weighted_f1_best_constant_classifier") == pytest.approx(0.5 * 2 * 0.5 / 1.5)


def test_the_spread_of_the_accuracy_is_that_of_drawing_photos() -> None:
    accuracy = model_quality(MATRIX, classes=CLASSES, seed=0)["accuracy"]
    assert accuracy["standard_deviation"] == pytest.approx(np.sqrt(0.76 * 0.24 / 100), rel=0.1)


def test_the_same_seed_gives_the_same_spread() -> None:
    first, again, other = (model_quality(MATRIX, classes=CLASSES, seed=seed)["weighted_f1"] for seed in (3, 3, 4))
    assert first == again != other


def test_a_class_without_photos_and_a_perfect_model_are_no_trouble() -> None:
    perfect = np.diag([5, 0, 3])
    metrics = model_quality(perfect, classes=CLASSES, seed=0)
    assert value(metrics, "weighted_f2") == 1.0


def test_the_matrix_of_a_thousand_classes_lists_only_what_happened() -> None:
    matrix = np.eye(1000, dtype=np.int64)
    metrics = model_quality(matrix, classes=[str(n) for n in range(1000)], seed=0, resamples=10)
    assert metrics["confusion_matrix"]["7"] == {"7": 1}
