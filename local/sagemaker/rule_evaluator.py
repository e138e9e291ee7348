"""The protocol of what stands for an image of Debugger's rules: a program to run, and a reader of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

__all__ = ["RuleEvaluator", "RuleOutcome", "RuleTask"]


@dataclass(frozen=True)
class RuleTask:
    """The rules of one image, to be evaluated on one training job.

    Attributes:
        tensors: folder with a copy of the tensors in S3; empty if the hook saved nothing.
        output: what the job's first host left in `/opt/ml/output/data`; may not exist.
        results: an empty folder for the program's results.
        hyperparameters: those of the training job.
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
    """Evaluates all rules of a job that name its image, with one program."""

    def command(self, task: RuleTask) -> tuple[Sequence[str], Mapping[str, str]]:
        """Return the program's argv, and environment variables that are added to those of the image."""
        ...

    def outcomes(self, task: RuleTask) -> Mapping[str, RuleOutcome]:
        """Return the results by `RuleConfigurationName`, after the program has ended with status 0."""
        ...
