"""Who evaluates the debugger's rules, and the files in which the hook and the rules report."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

__all__ = ["DebuggerMode", "Evaluator", "HookReport", "RuleResult", "RuleStatus", "RulesReport"]

Evaluator = Literal["managed", "own", "off"]
"""Who evaluates the rules of a run.

- `managed`: SageMaker Debugger, in its own image.
- `own`: a processing job of this project, on the training image.
- `off`: nobody; no tensors are saved.
"""

DebuggerMode = Literal["auto", "managed", "own", "off"]
"""The setting `debugger.mode`: an evaluator, or `auto`, which is `managed` where the account may use SageMaker Debugger
and `own` elsewhere."""

RuleStatus = Literal["NoIssuesFound", "IssuesFound", "Error", "Stopped", "NotApplicable"]
"""The final values of SageMaker's `RuleEvaluationStatus`, and this project's own `NotApplicable`, for a rule that says
nothing about this training."""


class RuleResult(TypedDict):
    """The outcome of one rule, whoever evaluated it."""

    rule: str
    status: RuleStatus
    detail: str
    """The tensor, the value and the threshold; or why the rule was not evaluated or does not apply."""
    step: int | None
    """The optimiser step at which the rule fired, from 0."""
    evaluator: Evaluator
    """`managed` or `own`: who evaluated this rule. A run's evaluator is not always that of each of its rules, since the
    training job itself evaluates the profiler rules."""


class RulesReport(TypedDict):
    """The file `Artefact.RULES`, which the processing job of the evaluator `own` writes."""

    results: list[RuleResult]
    seconds: float
    """The time that the evaluation took."""


class HookReport(TypedDict):
    """The file `Artefact.HOOK_REPORT` beside the tensors: what the hook saved and what it failed to save."""

    steps: int
    """The number of training steps of which at least the loss was saved."""
    first_step: int
    """The first step with saved tensors; above 0 where an interrupted training went on and lost the earlier ones."""
    tensors: int
    bytes: int
    seconds: float
    """The time that saving took."""
    failures: list[str]
    """At most 20 different error messages."""
    failed: int
    """The number of failures, repeated ones included."""
    classes: NotRequired[list[str]]
    """The names of the classes, by label, so that rules can name them."""
    note: NotRequired[str]
    """What is missing for a good reason, such as steps beyond the hook's bound in bytes."""
