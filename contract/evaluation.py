"""`evaluation.json`: the scores of a model on photos that it has not seen."""

from __future__ import annotations

from typing import Literal, TypedDict

from contract.model import Precision

__all__ = [
    "AnsweredShare",
    "Calibration",
    "ClassScores",
    "Coverage",
    "Evaluation",
    "FineTuningComparison",
    "GroupAccuracy",
    "Interval",
    "MirrorAveraging",
    "Mistake",
    "ModelFile",
    "MulticlassMetrics",
    "NearCopies",
    "NearCopy",
    "OddPhoto",
    "ReliabilityBin",
    "TestScores",
    "UncertainMetric",
    "UnknownPhotos",
]


class Interval(TypedDict):
    """A confidence interval of a share: Wilson's score interval, or by groups where it says so."""

    low: float
    high: float
    level: float


class ClassScores(TypedDict):
    """Precision, recall and F1 of one class, and the number of its test photos."""

    name: str
    images: int
    precision: float
    recall: float
    recall_interval: Interval
    f1: float


class ReliabilityBin(TypedDict):
    """The photos whose most probable class got a probability from `low` to `high`; all zero where there are none."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


class Calibration(TypedDict):
    """How far the probabilities are from the observed frequencies, before and after temperature scaling."""

    temperature: float
    expected_calibration_error: float
    expected_calibration_error_before: float
    bins: list[ReliabilityBin]


class Mistake(TypedDict):
    """A test photo that was classified wrongly."""

    path: str
    label: str
    predicted: str
    confidence: float
    label_score: float
    """Probability that the model gave to the true class."""


class UncertainMetric(TypedDict):
    """A metric and its standard deviation."""

    value: float
    standard_deviation: float


class MulticlassMetrics(TypedDict):
    """Multiclass metrics as described on AWS's page "Model quality metrics and Amazon CloudWatch monitoring"."""

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
    """Scores on the test photos of the model that is served."""

    test_accuracy: float
    test_accuracy_interval: Interval
    test_top_5_accuracy: float
    test_loss: float
    test_images: int
    per_class: list[ClassScores]
    confusion_matrix: list[list[int]]
    """Photos by true class (row) and predicted class (column), both in the order of `classes`."""
    calibration: Calibration
    hardest_mistakes: list[Mistake]
    """At most 20 wrongly classified photos, those with the highest confidence first."""
    multiclass_classification_metrics: MulticlassMetrics
    """The same scores in the format that SageMaker Model Registry and Model Monitor read."""


class ModelFile(TypedDict):
    """The model exported in one precision."""

    precision: Precision
    validation_accuracy: float
    """On the validation photos, by which the precision is chosen; by a head that has not learnt from them."""
    test_accuracy: float
    """On the test photos; it decides nothing."""
    bytes: int
    milliseconds: float
    """Median milliseconds that one photo takes on one CPU thread of the training job's machine."""


class MirrorAveraging(TypedDict):
    """What averaging over a photo and its mirror image brings and costs, whether it is served or not.

    It is measured in float32 on some validation photos, by a head that has not learnt from them.
    """

    served: bool
    """Whether the served model averages: the hyperparameter `average_mirrored`."""
    images: int
    accuracy: float
    """Without averaging."""
    averaged_accuracy: float
    accuracy_gain_error: float
    """Standard error of the difference, by photo."""
    loss: float
    averaged_loss: float
    loss_gain_error: float
    milliseconds: float
    """Median milliseconds that one photo takes on one CPU thread, without averaging."""
    averaged_milliseconds: float


class NearCopy(TypedDict):
    """A test photo that is nearly the same as a photo that the model was trained on."""

    path: str
    trained: str
    """Path of the training or validation photo."""
    cosine: float
    """Of their features."""


class NearCopies(TypedDict):
    """Test photos that are near-copies of photos that the model learnt from: resaved, resized, cropped, a burst."""

    images: int
    others: int
    """Test photos that are no near-copies."""
    accuracy_of_others: float | None
    """None where all test photos are near-copies."""
    interval_of_others: Interval | None
    examples: list[NearCopy]
    """At most 20, the most alike first."""


class GroupAccuracy(TypedDict):
    """The accuracy to expect of photos that come from elsewhere: whole groups of photos are held out together.

    It is measured on the features of the frozen backbone, by heads with the finished head's settings.
    """

    source: Literal["groups", "look-alikes"]
    """Whether the data set names its groups, or photos that look alike were taken for groups."""
    groups: int
    images: int
    accuracy: float
    """Of cross-validation over the groups."""
    interval: Interval
    """By group: the groups are drawn, not the photos."""
    accuracy_by_photo: float
    """Of cross-validation of the same photos one by one, to compare with."""


class AnsweredShare(TypedDict):
    """The accuracy on the photos that the model is surest of."""

    answered: float
    """Share of the test photos that get an answer."""
    accuracy: float


class OddPhoto(TypedDict):
    """A test photo, and how far it is from everything that the model was trained on."""

    path: str
    label: str
    distance: float
    """As served: above 1, the photo counts as unknown."""


class UnknownPhotos(TypedDict):
    """How the model tells photos of something else, on the test photos, all of which are of known classes."""

    known_share: float
    """Share of the test photos that count as known."""
    promised_share: float
    """Share of held-out known photos that the threshold was set for."""
    accuracy_known: float | None
    """Accuracy on the test photos that count as known; None where there are none."""
    accuracy_unknown: float | None
    curve: list[AnsweredShare]
    """From few photos answered to all of them."""
    oddest: list[OddPhoto]
    """At most 20 test photos, the farthest first."""


class Coverage(TypedDict):
    """Sets of labels that promise to hold the right one, on the test photos (split conformal prediction)."""

    promised: float
    realised: float
    mean_labels: float
    """Mean number of labels in a set."""


class FineTuningComparison(TypedDict):
    """A fine-tuned network beside a finished head on the features that it began with, on the validation photos."""

    served: bool
    """Whether the network is served; if not, the head is."""
    network_loss: float
    """Calibrated loss of the network."""
    head_loss: float
    """Calibrated loss of the head, before it learnt from the validation photos too."""
    images: int


class Evaluation(TestScores):
    """The content of `Artefact.EVALUATION`."""

    run: str
    classes: list[str]
    dataset_fingerprint: str
    test_fingerprint: str
    validation_accuracy: float
    validation_images: int
    """Photos that the validation accuracy was measured on."""
    precision: Precision
    precision_reason: str
    model_files: list[ModelFile]
    near_copies: NearCopies | None
    """None where the photos' features are not at hand."""
    by_group: GroupAccuracy | None
    """None where there are no groups, or the photos' features are not at hand."""
    unknown: UnknownPhotos | None
    """None where the photos' features are not at hand."""
    coverage: list[Coverage]
    """One of each level that is measured; empty where too few photos were held out."""
    mirror_averaging: MirrorAveraging | None
    """None where the hyperparameter `flip` says that mirror images mean something else."""
    fine_tuning: FineTuningComparison | None
    """None where nothing was fine-tuned."""
    hyperparameters: dict[str, str]
