"""Evaluates the tensor rules on a finished training: each ends with a status and a reason, none silently passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from smdebug.exceptions import MissingCollectionFiles, RuleEvaluationConditionMet

import contract
from training.debugger.rules.all_zero import AllZero
from training.debugger.rules.base import TensorRule
from training.debugger.rules.class_imbalance import ClassImbalance
from training.debugger.rules.confusion import Confusion
from training.debugger.rules.dead_relu import DeadRelu
from training.debugger.rules.exploding_tensor import ExplodingTensor
from training.debugger.rules.finished_trial import FinishedTrial
from training.debugger.rules.loss_not_decreasing import LossNotDecreasing
from training.debugger.rules.overfit import Overfit
from training.debugger.rules.overtraining import Overtraining
from training.debugger.rules.poor_weight_initialization import PoorWeightInitialization
from training.debugger.rules.saturated_activation import SaturatedActivation
from training.debugger.rules.unchanged_tensor import UnchangedTensor
from training.debugger.rules.vanishing_gradient import VanishingGradient
from training.debugger.rules.weight_update_ratio import WeightUpdateRatio

__all__ = ["TENSOR_RULES", "evaluate"]

TENSOR_RULES: Final[dict[str, type[TensorRule]]] = {
    rule.__name__: rule
    for rule in (
        VanishingGradient,
        ExplodingTensor,
        LossNotDecreasing,
        Overfit,
        Overtraining,
        PoorWeightInitialization,
        DeadRelu,
        AllZero,
        SaturatedActivation,
        UnchangedTensor,
        WeightUpdateRatio,
        ClassImbalance,
        Confusion,
    )
}

Outcome = tuple[contract.RuleStatus, str, int | None]
"""A rule's status, detail and optimiser step."""

_ABSENT_IN_NETWORK: Final = {
    "DeadRelu": "the network has no ReLU layer that the hook can see",
    "SaturatedActivation": "the network has no tanh or sigmoid layer that the hook can see",
}
_MAX_DETAIL: Final = 1000
"""Characters of a detail; SageMaker's `StatusDetails` hold 1,024."""


def evaluate(
    tensors: Path,
    rules: Mapping[str, Mapping[str, object]],
    *,
    mode: str,
    evaluator: contract.Evaluator,
    hook: contract.HookReport | None = None,
) -> list[contract.RuleResult]:
    """Evaluate tensor rules, given with the parameters that differ from SageMaker's defaults, on a folder of tensors.

    All rules walk through the steps together, so that each step's tensors are read once. A folder without tensors ends
    every rule as Error, except those that are not evaluated in this mode or by this evaluator
    (`contract.why_not_applicable`).

    Args:
        tensors: the folder that the hook saved to.
        rules: parameters by rule.
        mode: the training's mode, `features` or `finetune`.
        evaluator: who is named as the evaluator in the results.
        hook: the hook's own report, where there is one.

    Raises:
        contract.ContractError: a rule or a parameter is not known, or a parameter's value is not allowed.
    """
    checked = {name: contract.checked_parameters(name, parameters) for name, parameters in rules.items()}
    for name in checked:
        if name not in TENSOR_RULES:
            raise contract.ContractError(f"{name} is no tensor rule; known are {', '.join(TENSOR_RULES)}")

    # set aside the rules that nobody evaluates on such a training
    reasons = {name: contract.why_not_applicable(name, mode=mode, evaluator=evaluator) for name in checked}
    absent = {name: why for name, why in reasons.items() if why is not None}
    asked = {name: parameters for name, parameters in checked.items() if name not in absent}

    try:
        trial = FinishedTrial(tensors)
    except MissingCollectionFiles:
        ended: dict[str, Outcome] = {name: ("Error", _nothing_saved(hook), None) for name in asked}
    except Exception as error:  # smdebug raises plain errors for damaged files
        ended = {name: ("Error", f"the saved tensors cannot be read: {_words(error)}", None) for name in asked}
    else:
        ended = _walk(trial, asked, hook=hook)

    ended |= {name: ("NotApplicable", why, None) for name, why in absent.items()}
    return [
        contract.RuleResult(rule=name, status=status, detail=detail[:_MAX_DETAIL], step=step, evaluator=evaluator)
        for name, (status, detail, step) in ((name, ended[name]) for name in checked)
    ]


def _walk(
    trial: FinishedTrial,
    parameters: Mapping[str, Mapping[str, contract.ParameterValue]],
    *,
    hook: contract.HookReport | None,
) -> dict[str, Outcome]:
    """Take every rule through the steps of a training, and return how each ended."""
    ended: dict[str, Outcome] = {}
    running: dict[str, TensorRule] = {}

    def attempt(name: str, step: int, action: Callable[..., None], *arguments: Any) -> None:
        # One rule's failure is that rule's Error and leaves the others alone.
        try:
            action(*arguments)
        except RuleEvaluationConditionMet:
            ended[name] = "IssuesFound", running[name].why, trial.optimizer_step(step)
        except Exception as error:
            ended[name] = "Error", f"the rule could not be evaluated: {_words(error)}", trial.optimizer_step(step)

    def create(name: str) -> None:
        running[name] = TENSOR_RULES[name](trial, **{**contract.RULES[name].defaults, **parameters[name]})
        running[name].classes = hook.get("classes", ()) if hook else ()

    for name in parameters:
        attempt(name, 0, create, name)

    # every rule looks at a step before the next step's tensors are read
    steps = trial.steps()
    for step in steps:
        for name, rule in running.items():
            if name not in ended:
                attempt(name, step, rule.invoke, step)

    # the last look, once all steps are over
    for name, rule in running.items():
        if name not in ended:
            attempt(name, max(steps, default=0), rule.conclude, max(steps, default=0))
        if name not in ended:
            ended[name] = _outcome_without_issue(rule, hook=hook)
    return ended


def _outcome_without_issue(rule: TensorRule, *, hook: contract.HookReport | None) -> Outcome:
    """Return how a rule ends that did not fire: it passes only if it checked something."""
    if rule.checks:
        return "NoIssuesFound", "; ".join(filter(None, (f"{rule.seen} tensors looked at", rule.not_checked()))), None
    if rule.seen:
        return "NotApplicable", f"the training was too short for this rule, which waits for {rule.waits_for()}", None
    if rule.rule_name in _ABSENT_IN_NETWORK and not _failed(hook):
        return "NotApplicable", _ABSENT_IN_NETWORK[rule.rule_name], None
    if rule.of_the_beginning and hook and hook["first_step"] and not _failed(hook):
        return (
            "NotApplicable",
            f"the training was interrupted, and what the attempt before saved is lost: the tensors begin at step "
            f"{hook['first_step']}, and this rule looks at the first ones alone",
            None,
        )
    reported = f"; the hook reported: {_reported(hook)}" if hook and _reported(hook) else ""
    return "Error", f"none of what this rule looks at was saved: {rule.inspects}{reported}", None


def _nothing_saved(hook: contract.HookReport | None) -> str:
    if hook is None:
        return "the training saved no tensors, and the hook left no report: it did not run, or failed at its start"
    return f"the training saved no tensors; the hook reported: {_reported(hook) or 'no reason given'}"


def _reported(hook: contract.HookReport) -> str:
    """Return the first failure, or else the hook's note."""
    return hook["failures"][0] if hook["failures"] else hook.get("note", "")


def _failed(hook: contract.HookReport | None) -> bool:
    return hook is not None and hook["failed"] > 0


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
