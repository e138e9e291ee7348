"""What stands for an image of Debugger's rules: a program, and how its findings are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

__all__ = ["RuleEvaluator", "RuleOutcome", "RuleTask"]


@dataclass(frozen=True)
class RuleTask:
    """Rules of one image to be evaluated on one training job.

    Attributes:
        tensors: folder of what the hook saved, as it lies in S3; empty where it saved nothing.
        output: what the job's first host left in `/opt/ml/output/data`; need not exist.
        results: an empty folder for what the program writes.
        hyperparameters: the training job's.
        rules: `RuleParameters` by `RuleConfigurationName`.
    """

    tensors: Path
    output: Path
    results: Path
    hyperparameters: Mapping[str, str]
    rules: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class RuleOutcome:
    """The final `RuleEvaluationStatus` of a rule and its `StatusDetails`."""

    status: Literal["NoIssuesFound", "IssuesFound", "Error"]
    details: str


class RuleEvaluator(Protocol):
    """One program evaluates all of a job's rules that name its image."""

    def command(self, task: RuleTask) -> tuple[Sequence[str], Mapping[str, str]]:
        """argv of the program, and environment variables over the image's own."""
        ...

    def outcomes(self, task: RuleTask) -> Mapping[str, RuleOutcome]:
        """What the program found, by `RuleConfigurationName`, once it has ended with status 0."""
        ...
