"""Numbers that jobs print and SageMaker reads out of their logs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "METRICS",
    "OBJECTIVE",
    "OBJECTIVES",
    "TRIAL_METRICS",
    "Metric",
    "Objective",
    "ObjectiveName",
    "metric",
]


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
