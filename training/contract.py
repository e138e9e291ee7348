"""What crosses a border, declared once: between the CDK app, the jobs, the endpoint, the Lambdas and the local cloud.

The state machine's payloads are built from this module, the training scripts parse with it, the endpoint and the
Lambdas answer by it. Standard library only, so that every one of those places can import it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, NotRequired, TypedDict

__all__ = [
    "ALSO_SEARCHED",
    "BATCH_SIZES",
    "BATCH_SIZE_LIMITS",
    "LEARNING_RATE_LIMITS",
    "MAX_ERROR_CHARACTERS",
    "MAX_IMAGE_BYTES",
    "MAX_IMAGE_PIXELS",
    "METRICS",
    "MODES",
    "OBJECTIVE",
    "OBJECTIVES",
    "PHOTO_SUFFIXES",
    "SPLITS",
    "SPLIT_FOLDERS",
    "TRIAL_METRICS",
    "Artefact",
    "Channel",
    "ClassSummary",
    "ClassificationRequest",
    "ContractError",
    "DatasetSummary",
    "EntryPoint",
    "Evaluation",
    "FeaturesIndex",
    "FeaturesPart",
    "Hyperparameters",
    "ImageRecord",
    "JobVariable",
    "Metric",
    "ModelCard",
    "Objective",
    "ObjectiveName",
    "Precision",
    "Prediction",
    "ProblemDetails",
    "SplitName",
    "features_job_name",
    "features_key",
    "features_part_folder",
    "job_prefix",
    "metric",
    "parameter_ranges",
    "run_id",
    "training_job_name",
    "transform_key",
    "tuning_job_name",
]

# --- hyperparameters ---------------------------------------------------------------------------------------------

LEARNING_RATE_LIMITS: Final = (0.001, 0.1)
"""The seed's search space for the learning rate."""

BATCH_SIZES: Final = (16, 32, 64, 128, 256, 512)
"""The seed's search space for the batch size: the powers of two from 16 to 512."""

BATCH_SIZE_LIMITS: Final = (1, 4096)
LEARNING_RATE_BOUNDS: Final = (1e-6, 10.0)

MODES: Final = ("features", "finetune")
"""What is trained: a head on the frozen backbone's features, or the backbone too."""

ScalingType = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]

ALSO_SEARCHED: Final[dict[str, tuple[float, float, ScalingType]]] = {
    "weight_decay": (1e-6, 0.1, "Logarithmic"),
    "label_smoothing": (0.0, 0.3, "Linear"),
}
"""Hyperparameters that a setting adds to the search, with their ranges and scales."""


class ContractError(ValueError):
    """A value broke the contract; the message names it, what was expected and what to do."""


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Every hyperparameter a job takes, with its default.

    SageMaker carries hyperparameters as strings: `to_strings` writes them, `from_strings` reads them back.
    """

    backbone: str = "resnet50"
    """A torchvision classifier by its builder's name, or `efficientnet_lite0`."""
    image_size: int = 224
    """Side of the square crop the backbone sees, in pixels."""
    views: int = 4
    """Augmented views of every training image whose features are kept, beside the plain centre crop."""
    flip: bool = True
    """Whether augmented views may be mirrored: right for things, wrong for digits, text and left-or-right."""
    epochs: int = 20
    learning_rate: float = 0.01
    batch_size: int = 64
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    seed: int = 0
    quantize: bool = True
    """Whether an int8 model is made, which is served if it is as good as the float32 one."""
    mode: str = "features"
    """`features`: a head on the frozen backbone's features; `finetune`: the backbone is trained too (`MODES`)."""
    unfreeze_from: str = ""
    """Fine-tuning: dotted name of the first stage of the backbone that is trained; empty for the whole network."""
    backbone_rate: float = 0.1
    """Fine-tuning: learning rate of the deepest backbone stage relative to the head's; earlier ones are lower still."""
    warmup_epochs: float = 1.0
    """Fine-tuning: epochs over which the learning rate rises from zero, at most half of all."""
    ema: float = 0.0
    """Fine-tuning: decay of the moving average of the weights, which is then what is evaluated; 0 for none."""
    mixup: float = 0.0
    """Fine-tuning: alpha of mixup's Beta distribution; 0 for none."""
    cutmix: float = 0.0
    """Fine-tuning: alpha of CutMix's Beta distribution; 0 for none. With mixup too, each batch takes one of them."""
    randaugment: int = 0
    """Fine-tuning: magnitude of RandAugment's two operations, of 30; 0 for none."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ContractError(f"hyperparameter mode={self.mode!r} is not known; give one of {', '.join(MODES)}")
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ContractError(f"hyperparameter {name}={value} is outside {low} to {high}; keep it in that range")
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", self.backbone):
            raise ContractError(
                f"hyperparameter backbone={self.backbone!r} is not a model's name; "
                "give a torchvision classifier's builder such as resnet50, or efficientnet_lite0"
            )
        if not re.fullmatch(r"(\w+(\.\w+)*)?", self.unfreeze_from, re.ASCII):
            raise ContractError(
                f"hyperparameter unfreeze_from={self.unfreeze_from!r} is not a stage's name; "
                "give a dotted name such as layer4 or features.7, or nothing for the whole network"
            )
        if self.mode != "finetune":
            for name in ("unfreeze_from", "ema", "mixup", "cutmix", "randaugment"):
                if getattr(self, name):
                    raise ContractError(
                        f"hyperparameter {name}={getattr(self, name)} has no effect with mode={self.mode}; "
                        "set mode to finetune, or leave it out"
                    )

    def to_strings(self) -> dict[str, str]:
        """As SageMaker's `HyperParameters`: every value a string."""
        return {name: str(value) for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_strings(cls, given: Mapping[str, str]) -> Hyperparameters:
        """Parse SageMaker's `HyperParameters`.

        Names of SageMaker's own (`sagemaker_…`, `_tuning_…`) are passed over; any other unknown name is an error,
        since a misspelt hyperparameter would otherwise train with the default unnoticed.

        Raises:
            ContractError: an unknown name, or a value of the wrong type or outside its limits.
        """
        fields: dict[str, type[Any]] = {field.name: type(field.default) for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for name, text in given.items():
            if name.startswith(("sagemaker_", "_tuning_")):
                continue
            if name not in fields:
                raise ContractError(f"unknown hyperparameter {name!r}; known are {', '.join(sorted(fields))}")
            try:
                values[name] = _parsed(str(text).strip('"'), fields[name])
            except ValueError:
                raise ContractError(
                    f"hyperparameter {name}={text!r} is not of type {fields[name].__name__}; give such a value"
                ) from None
        return cls(**values)


def _parsed(text: str, kind: type) -> Any:
    if kind is not bool:
        return kind(text)
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_LIMITS: Final[dict[str, tuple[float, float]]] = {
    "image_size": (32, 1024),
    "views": (0, 64),
    "epochs": (1, 1000),
    "learning_rate": LEARNING_RATE_BOUNDS,
    "batch_size": BATCH_SIZE_LIMITS,
    "weight_decay": (0.0, 1.0),
    "label_smoothing": (0.0, 0.5),
    "seed": (0, 2**32 - 1),
    "backbone_rate": (0.0, 1.0),
    "warmup_epochs": (0.0, 1000.0),
    "ema": (0.0, 0.99999),
    "mixup": (0.0, 10.0),
    "cutmix": (0.0, 10.0),
    "randaugment": (0, 30),
}


def parameter_ranges(
    *,
    learning_rate: tuple[float, float] = LEARNING_RATE_LIMITS,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    scaling: ScalingType = "Logarithmic",
    also: Sequence[str] = (),
) -> dict[str, list[dict[str, Any]]]:
    """SageMaker's `ParameterRanges` of the tuning job: what is searched, under the names the trials parse.

    `also` names hyperparameters of `ALSO_SEARCHED` that are searched beside the two.
    """
    continuous = [("learning_rate", *learning_rate, scaling), *((name, *ALSO_SEARCHED[name]) for name in also)]
    return {
        "ContinuousParameterRanges": [
            {
                "Name": name,
                "MinValue": repr(float(low)),
                "MaxValue": repr(float(high)),
                "ScalingType": scale,
            }
            for name, low, high, scale in continuous
        ],
        "CategoricalParameterRanges": [{"Name": "batch_size", "Values": [str(size) for size in batch_sizes]}],
    }


# --- jobs --------------------------------------------------------------------------------------------------------


class EntryPoint(StrEnum):
    """`sagemaker_program` of each kind of job, relative to the source bundle's root."""

    FEATURES = "training/features.py"
    TRIAL = "training/trial.py"
    TRAIN = "training/train.py"


class JobVariable(StrEnum):
    """Names in the jobs' `Environment`: what a job says of itself and is no hyperparameter."""

    RUN = "WHIPPET_RUN"
    """`run_id` of the run the job belongs to."""
    FEATURES_KEY = "WHIPPET_FEATURES_KEY"
    """`features_key` the features job works for."""


class Channel(StrEnum):
    """Names of the jobs' input channels."""

    DATASET = "dataset"
    """The photos, as they lie in the bucket."""
    MANIFEST = "manifest"
    """What CheckDataset wrote: `Artefact.DATASET_SUMMARY` and `Artefact.MANIFEST`."""
    FEATURES = "features"
    """What the features job wrote: `Artefact.FEATURES_INDEX` and the arrays it lists."""
    PREVIOUS_FEATURES = "previous"
    """Features of an earlier run, for the features job: photos it shares with them are not embedded again."""
    WEIGHTS = "weights"
    """Pretrained weights, where the job should not (or cannot) fetch them from the hub."""


class Artefact(StrEnum):
    """File names that one part writes and another reads."""

    DATASET_SUMMARY = "dataset.json"
    """`DatasetSummary`, in the run's manifest folder."""
    MANIFEST = "manifest.jsonl"
    """One `ImageRecord` a line, in key order."""
    FEATURES_INDEX = "features.json"
    """`FeaturesIndex`; lists every other file of the features with its size."""
    MODEL = "model.onnx"
    """Input `image`: uint8, (N, image_size, image_size, 3), RGB. Output `probabilities`: float32, (N, classes)."""
    MODEL_CARD = "model.json"
    """`ModelCard`: labels and preprocessing, beside the model."""
    EVALUATION = "evaluation.json"
    """`Evaluation`, in the job's output data."""
    CONFUSION_MATRIX_CSV = "confusion_matrix.csv"
    CONFUSION_MATRIX_PNG = "confusion_matrix.png"
    HISTORY = "history.csv"
    """epoch, train_loss, validation_loss, validation_accuracy of the best-trial training."""
    HISTORY_PNG = "history.png"
    PER_CLASS_CSV = "per_class.csv"
    PER_CLASS_PNG = "per_class.png"
    RELIABILITY_CSV = "reliability.csv"
    RELIABILITY_PNG = "reliability.png"
    DECISION = "decision.json"


SplitName = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")

SPLIT_FOLDERS: Final[dict[str, SplitName]] = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}
"""Top folders of a data set that comes with its split, in lower case."""

PHOTO_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
"""File name endings that count as photos, in lower case."""


class ClassSummary(TypedDict):
    """A class, and how many photos it has in each split."""

    name: str
    train: int
    validation: int
    test: int


class DatasetSummary(TypedDict):
    """What CheckDataset found; the index of a class in `classes` is its label everywhere."""

    prefix: str
    """Key prefix the photos lie under, with its trailing slash."""
    classes: list[ClassSummary]
    images: int
    stray_files: int
    """Objects that are no photos in a class folder: counted, not fatal."""
    duplicates_across_splits: int
    """Photos whose bytes stand in two splits; the copies outside `test` are left out of the manifest."""
    split: Literal["given", "by content"]
    """Whether the folders gave the split (train, valid, test) or the content hash did."""
    fingerprint: str
    """SHA-256 over the manifest: changes whenever a photo, its label or its split does."""
    test_fingerprint: str
    """The same over the test split only: two runs are comparable when it is equal."""


class ImageRecord(TypedDict):
    """One photo of the manifest."""

    path: str
    """Key relative to the data set's prefix: the file's path below the `dataset` channel."""
    label: int
    split: SplitName
    etag: str
    """S3's ETag without quotes: the content's hash."""


class FeaturesFile(TypedDict):
    name: str
    bytes: int


class FeaturesPart(TypedDict):
    """Which host's share of the photos this is, from 0, and how many there are."""

    number: int
    of: int


class FeaturesIndex(TypedDict):
    """Describes the arrays of a features job, or of one host's part of it, which lie beside it.

    `{split}_features.npy`: (images, views, dim), of `precision`; view 0 is the plain centre crop, and the validation
    and test splits have only that one. `{split}_labels.npy`: int64, (images,). `{split}_positions.npy`: int64,
    (images,), where in the manifest's split each photo stands: readers put the images, of all parts, in that order.
    `{split}_photos.jsonl`: path and ETag of each, a JSON list a line.
    """

    key: str
    """`features_key` of the run: the same key, the same features."""
    backbone: str
    image_size: int
    dim: int
    levels: list[int]
    """Sizes of the parts of a feature vector, in order, one a depth of the backbone; their sum is `dim`."""
    classes: list[str]
    counts: dict[SplitName, int]
    views: dict[SplitName, int]
    broken: list[str]
    """Paths of the images that could not be decoded and were left out."""
    weights: str
    """SHA-256 of the backbone's weights, so that training and features cannot disagree."""
    precision: Literal["float32", "bfloat16"]
    """Of the arrays; bfloat16, the upper half of float32, is kept as uint16, which numpy knows."""
    seed: int
    flip: bool
    transform: int
    """`TRANSFORM_VERSION`"""
    part: FeaturesPart
    files: list[FeaturesFile]


TRANSFORM_VERSION: Final = 2
"""Raise when decoding, cropping, augmentation, the backbone's levels or the arrays' layout change: older features are
then not reused."""


def features_part_folder(*, number: int, of: int) -> str:
    """Folder, below the features', of one host's part: hosts upload to the same place. Empty where there is one."""
    return f"part-{number}-of-{of}" if of > 1 else ""


def transform_key(*, hyperparameters: Hyperparameters, weights: str) -> str:
    """Name of what makes a photo's features, whatever the photos: 32 hexadecimal digits.

    Features of the same transform key can be extended by photos they lack. `weights` says where the backbone's weights
    come from (`hub`, or the S3 URI and ETag of a file).
    """
    parts = {
        "backbone": hyperparameters.backbone,
        "image_size": hyperparameters.image_size,
        "views": hyperparameters.views,
        "flip": hyperparameters.flip,
        "seed": hyperparameters.seed,
        "weights": weights,
        "transform": TRANSFORM_VERSION,
    }
    return _digest(parts)


def features_key(*, dataset_fingerprint: str, hyperparameters: Hyperparameters, weights: str) -> str:
    """Name of the features of this data under this backbone: 32 hexadecimal digits."""
    transform = transform_key(hyperparameters=hyperparameters, weights=weights)
    return _digest({"dataset": dataset_fingerprint, "transform_key": transform})


def _digest(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


# --- metrics -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """A number a job prints and SageMaker reads out of its log."""

    name: str

    @property
    def regex(self) -> str:
        """For `MetricDefinitions`; matches what `line` prints and nothing of another metric."""
        return rf"(?:^|\s){re.escape(self.name)}=([-+0-9.eE]+|nan|inf|-inf);"

    @property
    def definition(self) -> dict[str, str]:
        """One entry of a training job's `MetricDefinitions`."""
        return {"Name": self.name, "Regex": self.regex}

    def line(self, value: float) -> str:
        """`name=value;` as the regex expects it."""
        return f"{self.name}={value:.6f};"


METRICS: Final = {
    name: Metric(name)
    for name in (
        "train:loss",
        "validation:loss",
        "validation:accuracy",
        "test:loss",
        "test:accuracy",
    )
}

ObjectiveName = Literal["accuracy", "loss"]


@dataclass(frozen=True)
class Objective:
    """What the tuning job looks for the best of."""

    metric: Metric
    type: Literal["Maximize", "Minimize"]

    @property
    def definition(self) -> dict[str, str]:
        """`HyperParameterTuningJobObjective`."""
        return {"Type": self.type, "MetricName": self.metric.name}


OBJECTIVES: Final[dict[ObjectiveName, Objective]] = {
    "accuracy": Objective(METRICS["validation:accuracy"], "Maximize"),
    "loss": Objective(METRICS["validation:loss"], "Minimize"),
}

OBJECTIVE: Final = OBJECTIVES["accuracy"].metric
"""What the tuning job maximises unless a setting says otherwise."""

TRIAL_METRICS: Final = ("train:loss", "validation:loss", "validation:accuracy")
"""Metrics that a trial prints after each epoch."""


def metric(name: str) -> Metric:
    """Raises KeyError for a name outside `METRICS`: a metric SageMaker was not told of would be lost."""
    return METRICS[name]


# --- names -------------------------------------------------------------------------------------------------------


def run_id(execution_name: str) -> str:
    """Short name of a run, at most 13 characters of `[a-z0-9-]`, from its execution's name.

    A tuning job's name holds 32 characters (CreateHyperParameterTuningJob), an execution's 80, so a long name is cut:
    a UUID, as the console gives, to its first 13 characters; anything else to a hash.
    """
    name = re.sub(r"[^a-z0-9]+", "-", execution_name.lower()).strip("-")
    if name and len(name) <= 13 and name == execution_name:
        return name
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name):
        return name[:13]
    return hashlib.sha256(execution_name.encode()).hexdigest()[:13]


def job_prefix(prefix: str, run: str) -> str:
    """`<prefix>-<run>`: the name every job, model and endpoint configuration of a run starts with."""
    return f"{prefix}-{run}"


def features_job_name(prefix: str, run: str) -> str:
    """The training job that computes the features."""
    return f"{job_prefix(prefix, run)}-features"


def tuning_job_name(prefix: str, run: str) -> str:
    """The tuning job; SageMaker names its trials `<tuning job>-<number>-<hash>`."""
    return job_prefix(prefix, run)


def training_job_name(prefix: str, run: str) -> str:
    """The best-trial training."""
    return f"{job_prefix(prefix, run)}-train"


# --- the model and its answers -----------------------------------------------------------------------------------

MAX_IMAGE_BYTES: Final = 4_500_000
"""A Lambda request holds 6 MB (AWS quota); base64 takes a third more than the image."""

MAX_IMAGE_PIXELS: Final = 50_000_000
"""Decoded size at which an image is refused: 50 megapixels, more than any phone's photo at its default setting."""

MAX_ERROR_CHARACTERS: Final = 1000
"""SageMaker's FailureReason and SNS's e-mail stay readable below this length."""


Precision = Literal["fp32", "int8"]

INT8_ACCURACY_LOSS: Final = 0.005
"""Test accuracy an int8 model may lose against float32 and still be served."""

INT8_CLASS_LOSS: Final = 0.03
"""The same for the recall of any single class."""


class ModelCard(TypedDict):
    """`Artefact.MODEL_CARD`: everything a server needs to know of the model beside it."""

    run: str
    backbone: str
    labels: list[str]
    image_size: int
    resize: int
    """Shorter side before the centre crop, in pixels."""
    dataset_fingerprint: str
    test_accuracy: float
    """Of the file that is served."""
    temperature: float
    """By which the logits are divided before the softmax; it stands in the model file, nobody has to apply it."""
    precision: Precision
    precision_reason: str
    """Why this precision is served, in plain words."""
    test_accuracy_fp32: float
    test_accuracy_int8: float | None
    """None where no int8 model was made."""


class Prediction(TypedDict):
    """One entry of the answer, which is a list of them with the highest score first."""

    label: str
    score: float


class ClassificationParameters(TypedDict):
    top_k: NotRequired[int]


class ClassificationRequest(TypedDict):
    """The JSON form of a request; the other form is the image's bytes with an `image/*` content type."""

    inputs: str
    """The image, base64."""
    parameters: NotRequired[ClassificationParameters]


class ProblemDetails(TypedDict):
    """RFC 9457, `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str


class ClassScores(TypedDict):
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
