"""Metrics that jobs print, and that SageMaker reads from their logs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "DEFAULT_OBJECTIVE",
    "METRICS",
    "OBJECTIVES",
    "TRIAL_METRICS",
    "Metric",
    "Objective",
    "ObjectiveName",
    "metric",
]


@dataclass(frozen=True)
class Metric:
    """A metric that a job prints, and that SageMaker reads from its log."""

    name: str

    @property
    def regex(self) -> str:
        """The regular expression for `MetricDefinitions`: it matches what `line` prints, and no other metric."""
        return rf"(?:^|\s){re.escape(self.name)}=([-+0-9.eE]+|nan|inf|-inf);"

    @property
    def definition(self) -> dict[str, str]:
        """The entry for a training job's `MetricDefinitions`."""
        return {"Name": self.name, "Regex": self.regex}

    def line(self, value: float) -> str:
        """Return `name=value;`, which the regular expression matches."""
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
    """The metric that the tuning job optimises, and in which direction."""

    metric: Metric
    type: Literal["Maximize", "Minimize"]

    @property
    def definition(self) -> dict[str, str]:
        """The value of `HyperParameterTuningJobObjective`."""
        return {"Type": self.type, "MetricName": self.metric.name}


OBJECTIVES: Final[dict[ObjectiveName, Objective]] = {
    "accuracy": Objective(METRICS["validation:accuracy"], "Maximize"),
    "loss": Objective(METRICS["validation:loss"], "Minimize"),
}

DEFAULT_OBJECTIVE: Final[ObjectiveName] = "loss"
"""By accuracy, one photo among a hundred decides between trials; the loss weighs how sure each answer is."""

TRIAL_METRICS: Final = ("train:loss", "validation:loss", "validation:accuracy")
"""Metrics that a trial prints after each epoch."""


def metric(name: str) -> Metric:
    """Return the metric of this name.

    Raises:
        KeyError: the name is not in `METRICS`, so SageMaker would ignore the metric.
    """
    return METRICS[name]
