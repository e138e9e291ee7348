"""The decision whether a model may go into service, from all checks together."""

from __future__ import annotations

from collections.abc import Sequence

from contract import (
    ApprovalStatus,
    Comparison,
    Decision,
    Evaluation,
    Evaluator,
    Leakage,
    RuleResult,
    Thresholds,
)

from .accuracy_checks import check_accuracy, check_class_recall, check_gap, worst_class
from .release_checks import check_in_service, check_leakage, check_rules

__all__ = ["decide"]


def decide(
    evaluation: Evaluation,
    *,
    run: str,
    model: str,
    code_version: str,
    decided_at: str,
    thresholds: Thresholds,
    manual_approval: bool,
    comparison: Comparison | None,
    leakage: Leakage,
    evaluator: Evaluator,
    rules: Sequence[RuleResult],
) -> Decision:
    """Return the decision with everything that it is based on.

    A single blocked check rejects the model. Where none is, but one is undecided, a person decides; without manual
    approval the model is not released.
    """
    checks = [
        check_accuracy(evaluation, thresholds),
        check_class_recall(evaluation, thresholds),
        check_gap(evaluation),
        check_in_service(evaluation, comparison, thresholds),
        check_leakage(leakage, evaluation["near_copies"], thresholds),
        check_rules(rules, thresholds, evaluator=evaluator),
    ]

    # a single blocked check rejects the model, and what is undecided is left to a person
    against = [check["reason"] for check in checks if check["outcome"] == "blocked"]
    unsure = [] if against else [check["reason"] for check in checks if check["outcome"] == "undecided"]
    approval: ApprovalStatus = "PendingManualApproval" if manual_approval or unsure else "Approved"
    every = sorted(checks, key=lambda check: check["outcome"] != "undecided")
    decisive = against if manual_approval else against or unsure
    worst = worst_class(evaluation)

    return Decision(
        run=run,
        model=model,
        code_version=code_version,
        decided_at=decided_at,
        accepted=not against and (manual_approval or not unsure),
        undecided=bool(unsure),
        approval="Rejected" if against else approval,
        reasons=decisive or [check["reason"] for check in every],
        checks=checks,
        thresholds=thresholds,
        test_accuracy=evaluation["test_accuracy"],
        test_images=evaluation["test_images"],
        validation_accuracy=evaluation["validation_accuracy"],
        worst_class=worst["name"],
        worst_class_recall=worst["recall"],
        in_service=comparison,
        leakage=leakage,
        debugger=evaluator,
        rules=list(rules),
        classes=evaluation["classes"],
        dataset_fingerprint=evaluation["dataset_fingerprint"],
        test_fingerprint=evaluation["test_fingerprint"],
        hyperparameters=evaluation["hyperparameters"],
    )
