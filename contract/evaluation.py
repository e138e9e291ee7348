"""How good a model is on photos it has not seen."""

from __future__ import annotations

from typing import TypedDict

from contract.model import Precision

__all__ = [
    "Calibration",
    "ClassScores",
    "Evaluation",
    "Interval",
    "Mistake",
    "ModelFile",
    "MulticlassMetrics",
    "ReliabilityBin",
    "TestScores",
    "UncertainMetric",
]


class ClassScores(TypedDict):
    """How well one class is told from the others."""

    name: str
    images: int
    precision: float
    recall: float
    f1: float


class Interval(TypedDict):
    """A confidence interval from the bootstrap."""

    low: float
    high: float
    level: float
    resamples: int


class ReliabilityBin(TypedDict):
    """The photos whose likeliest class got a probability from `low` to `high`; zeros where there are none."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


class Calibration(TypedDict):
    """How far the scores are from being frequencies, as served and before temperature scaling."""

    temperature: float
    expected_calibration_error: float
    expected_calibration_error_before: float
    bins: list[ReliabilityBin]


class Mistake(TypedDict):
    """A test photo that was misjudged."""

    path: str
    label: str
    predicted: str
    confidence: float
    label_score: float
    """Probability that was given to the true class."""


class UncertainMetric(TypedDict):
    """A number and how far chance may have moved it."""

    value: float
    standard_deviation: float


class MulticlassMetrics(TypedDict):
    """The multiclass part of AWS's page "Model quality metrics and Amazon CloudWatch monitoring"."""

    confusion_matrix: dict[str, dict[str, int]]
    """True class -> predicted class -> photos."""
    accuracy: UncertainMetric
    weighted_recall: UncertainMetric
    weighted_precision: UncertainMetric
    weighted_f0_5: UncertainMetric
    weighted_f1: UncertainMetric
    weighted_f2: UncertainMetric
    accuracy_best_constant_classifier: UncertainMetric
    weighted_recall_best_constant_classifier: UncertainMetric
    weighted_precision_best_constant_classifier: UncertainMetric
    weighted_f0_5_best_constant_classifier: UncertainMetric
    weighted_f1_best_constant_classifier: UncertainMetric
    weighted_f2_best_constant_classifier: UncertainMetric


class TestScores(TypedDict):
    """What the test photos say about the model that is served."""

    test_accuracy: float
    test_accuracy_interval: Interval
    test_top_5_accuracy: float
    test_loss: float
    test_images: int
    per_class: list[ClassScores]
    confusion_matrix: list[list[int]]
    """Rows: the true class; columns: the predicted one; both in the order of `classes`."""
    calibration: Calibration
    hardest_mistakes: list[Mistake]
    """At most 20, the surest first."""
    multiclass_classification_metrics: MulticlassMetrics
    """SageMaker's own shape of the same."""


class ModelFile(TypedDict):
    """One precision the model was exported in."""

    precision: Precision
    test_accuracy: float
    bytes: int
    milliseconds: float
    """Median time of one photo through the network on one CPU thread of the training job's machine."""


class Evaluation(TestScores):
    """`Artefact.EVALUATION`: how good the model is on photos it has not seen."""

    run: str
    classes: list[str]
    dataset_fingerprint: str
    test_fingerprint: str
    validation_accuracy: float
    precision: Precision
    precision_reason: str
    model_files: list[ModelFile]
    hyperparameters: dict[str, str]
