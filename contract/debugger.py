"""The debugger: what may be asked of it, and what it answers. Names, parameters and defaults are SageMaker's."""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict

__all__ = ["DEBUGGER_WAYS", "HookReport", "RuleResult", "RuleSource", "RuleStatus", "RulesReport"]

DEBUGGER_WAYS: Final = ("auto", "managed", "own", "off")
"""`managed`: SageMaker Debugger; `own`: a processing job of ours; `auto`: the first where the account may use it, else
the second; `off`: no tensors, no rules."""

RuleStatus = Literal["NoIssuesFound", "IssuesFound", "Error", "Stopped", "NotApplicable"]
"""The final ones of SageMaker's `RuleEvaluationStatus`, and ours for a rule whose tensors a training does not have."""

RuleSource = Literal["managed", "own"]


class RuleResult(TypedDict):
    """How one rule ended, whoever evaluated it."""

    rule: str
    status: RuleStatus
    detail: str
    """Which tensor, which value and which threshold; why it could not be evaluated, or does not apply."""
    step: int | None
    """Optimiser step at which the rule fired, from 0."""
    source: RuleSource


class RulesReport(TypedDict):
    """`Artefact.RULES`: what the processing job of ours writes."""

    results: list[RuleResult]
    seconds: float


class HookReport(TypedDict):
    """`Artefact.HOOK_REPORT`, beside the tensors: what the hook saved, and what it could not."""

    steps: int
    """Training steps of which at least the loss was saved."""
    first_step: int
    """Above 0 where an interrupted training went on and earlier tensors were lost."""
    tensors: int
    bytes: int
    seconds: float
    """That saving took."""
    failures: list[str]
    """At most 20 different ones."""
    failed: int
    note: NotRequired[str]
