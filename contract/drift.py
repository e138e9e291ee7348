"""Drift: captured answers of the endpoint, the scheduled check of them, and what the check found."""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict

from contract.names import CAPTURE_PREFIX, DRIFT_PREFIX

__all__ = [
    "DRIFT_FOUND",
    "DRIFT_LATEST",
    "DRIFT_MEASURES",
    "DRIFT_METRICS",
    "DRIFT_PAGE",
    "DRIFT_TITLES",
    "FEWEST_ANSWERS",
    "FEWEST_TEST_PHOTOS",
    "Bin",
    "ClassShare",
    "DriftCheck",
    "DriftMeasure",
    "DriftVerdict",
    "MeasuredDrift",
    "UnknownShares",
    "capture_folder",
    "drift_check_key",
]

DRIFT_LATEST: Final = f"{DRIFT_PREFIX}latest.json"
"""Key of the newest `DriftCheck`."""

DRIFT_PAGE: Final = f"{DRIFT_PREFIX}latest.html"
"""Key of the page about it."""

DriftMeasure = Literal["class_mix", "confidence", "distance"]

DRIFT_MEASURES: Final[tuple[DriftMeasure, ...]] = ("class_mix", "confidence", "distance")

DRIFT_TITLES: Final[dict[DriftMeasure, str]] = {
    "class_mix": "Class mix",
    "confidence": "Confidence",
    "distance": "Distance to the training photos",
}

DRIFT_FOUND: Final = "DriftFound"
"""Metric that the alarm watches: 1 where a check found drift, 0 where it found none; nothing where it could not tell.
Its namespace is `SERVING_NAMESPACE` and its only dimension `ENDPOINT_DIMENSION`, as of the following ones."""

DRIFT_METRICS: Final[dict[DriftMeasure, str]] = {
    "class_mix": "DriftOfClassMix",
    "confidence": "DriftOfConfidence",
    "distance": "DriftOfDistance",
}
"""Metrics of each measure's `difference`, in percent."""

FEWEST_ANSWERS: Final = 100
"""Answers that a check needs to say anything."""

FEWEST_TEST_PHOTOS: Final = 30
"""Test photos that a check needs to compare with."""

DriftVerdict = Literal["no_model", "no_baseline", "too_few", "steady", "drifted"]
"""What came of a check.

- `no_model`: no model is in service, nor does one sleep.
- `no_baseline`: the run left no answers to its test photos, or to fewer than `FEWEST_TEST_PHOTOS`.
- `too_few`: fewer than `FEWEST_ANSWERS` answers were captured: no difference could be told from chance.
- `steady`, `drifted`: there were enough.
"""


class MeasuredDrift(TypedDict):
    """One measure of the captured answers beside the test photos'."""

    measure: DriftMeasure
    difference: float
    """From 0 to 1: the share of the answers that differ. Of classes the total variation distance, of confidence and
    distance the Kolmogorov-Smirnov statistic."""
    p_value: float
    """Probability of a difference at least as large by chance alone."""
    drifted: bool
    """Whether the difference is no chance, and as large as the setting asks for."""


class ClassShare(TypedDict):
    """How often a class is the likeliest one."""

    name: str
    test: float
    captured: float
    low: float
    """Wilson's 95 % interval of `captured`."""
    high: float


class Bin(TypedDict):
    """The share of answers from `low` up to `high`."""

    low: float
    high: float
    test: float
    captured: float


class DriftCheck(TypedDict):
    """The content of `DRIFT_LATEST` and of each `drift_check_key`."""

    verdict: DriftVerdict
    checked: str
    """When, in ISO 8601 and UTC."""
    environment: str
    endpoint: str
    run: str
    """The run whose model is in service; empty where none is."""
    why: str
    """The verdict as a sentence."""
    answers: int
    """Captured answers of this model that were compared."""
    others: int
    """Captured answers of other models."""
    unreadable: int
    """Captured lines that are no answers."""
    since: NotRequired[str]
    """When the first of these answers was given."""
    until: NotRequired[str]
    is_sample: bool
    """Whether there were more than a check reads, so that it took a sample."""
    test_photos: int
    measures: list[MeasuredDrift]
    """Empty where nothing was compared. `distance` is missing where the model or its test gave none."""
    classes: list[ClassShare]
    """Those with the largest difference first."""
    confidence: list[Bin]
    distance: list[Bin]
    unknown: NotRequired[UnknownShares]
    told: list[DriftMeasure]
    """What has drifted by this check or an earlier one of this model, and was told as an event."""


class UnknownShares(TypedDict):
    """The share of photos that count as unknown."""

    test: float
    captured: float
    low: float
    """Wilson's 95 % interval of `captured`."""
    high: float


def capture_folder(endpoint: str, variant: str) -> str:
    """Return the key prefix of a variant's captured answers; year, month, day and hour follow, of two digits or four.

    Source: "Capture data from real-time endpoint" (SageMaker developer guide).
    """
    return f"{CAPTURE_PREFIX}{endpoint}/{variant}/"


def drift_check_key(checked: str) -> str:
    """Return the key of the check of a moment in ISO 8601."""
    return f"{DRIFT_PREFIX}checks/{checked.replace(':', '-')}.json"
