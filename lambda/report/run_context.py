"""Everything that the sections of the report are made from: the run's names, data and files, and SageMaker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract import Evaluator, RunDocument

from .run_files import RunFiles

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions import SFNClient

__all__ = ["RunContext"]


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run that has ended."""

    name: str
    """`run_id`"""
    prefix: str
    """`<prefix>-<environment>`, with which the name of every job begins."""
    data: RunDocument
    """The state machine's data, as far as the run came."""
    execution: str
    """ARN of the execution."""
    state_machine: str
    """ARN of the state machine."""
    files: RunFiles
    sagemaker: SageMakerClient
    stepfunctions: SFNClient
    checks_drift: bool = False
    """Whether captured answers are checked for drift."""
    pause_after_hours: int | None = None
    """The setting serving.pause_after_hours."""

    @property
    def evaluator(self) -> Evaluator | None:
        """Who evaluated the debugger's rules; None where the run did not come that far."""
        debugger = self.data.get("debugger")
        return debugger["evaluator"] if debugger else None

    @property
    def released_endpoint(self) -> str | None:
        """The endpoint that serves the run's model since its smoke test; None where the run released none."""
        smoke_test = self.data.get("smoke_test")
        return smoke_test["endpoint"] if smoke_test else None

    @property
    def approved_by_a_person(self) -> bool:
        """Whether a person was asked and answered with yes."""
        answer = self.data.get("approval")
        return bool(answer and "Error" not in answer and answer.get("approved"))
