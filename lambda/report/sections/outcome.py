"""How the run ended: whether the model went into service, and why."""

from __future__ import annotations

from typing import Any

from shared.plain_cause import plain_cause

import contract

from ..run_context import RunContext
from ..run_files import Missing, if_present
from .next_steps import next_steps

__all__ = ["CHECK_TITLES", "comparison", "outcome"]

CHECK_TITLES: dict[str, str] = {
    "accuracy": "Accuracy",
    "class_recall": "Worst class",
    "gap": "Validation and test",
    "in_service": "Model in service",
    "leakage": "Leakage between splits",
    "known_share": "Known test photos",
    "coverage": "Promised coverage",
    "rules": "Debugger rules",
}
_REJECTIONS = ("ModelRejected", "ApprovalTimedOut")
"""Errors that end a run whose model was trained but not accepted."""


def outcome(run: RunContext) -> dict[str, Any]:
    """Return state, headline and reasons, and the checks and the main figures as far as there are any."""
    decision = if_present(lambda: run.files.decision)
    evaluation = if_present(lambda: run.files.evaluation)
    failure = run.data.get("failure") or {}
    causes = [_cause(state, error) for state, error in failure.items()]
    checks = decision["checks"] if decision else []
    # a check says its reason itself
    said = {check["reason"] for check in checks}
    reasons = [reason for reason in decision["reasons"] if reason not in said] if decision else []

    if any(error.get("Error") == "TooFewTestPhotos" for error in failure.values()):
        state, headline = "undecided", "Undecided: too few test photos to tell, so the model was not released"
    elif any(error.get("Error") in _REJECTIONS for error in failure.values()) or (
        not failure and decision and not decision["accepted"]
    ):
        state, headline = "rejected", "Rejected: the model was not released"
        if decision is None or decision["accepted"]:
            reasons = causes
    elif failure:
        state, headline = "failed", f"Failed in {next(iter(failure))}"
        reasons = causes
    elif decision is None:
        state, headline = "unknown", "Ended without a decision"
    else:
        released = run.released_endpoint
        state = "accepted"
        headline = f"Accepted, and released on {released}" if released else "Accepted"

    return {
        "state": state,
        "headline": headline,
        "reasons": reasons,
        "checks": [{**check, "title": CHECK_TITLES.get(check["name"], check["name"])} for check in checks],
        "approval": _approval(run, decision) if decision and state != "undecided" else None,
        "guessing": _guessing(evaluation) if evaluation else None,
        "evaluation": evaluation,
        "decision": decision,
        "changed": bool(failure and if_present(lambda: run.files.dataset_changes)),
        "steps": next_steps(run) if evaluation else [],
    }


def _guessing(evaluation: contract.Evaluation) -> dict[str, Any] | None:
    """Return the class that could always be answered with as much success; None where the model is better than that."""
    metrics = evaluation["multiclass_classification_metrics"]
    constant = metrics.get("accuracy_best_constant_classifier", {}).get("value")
    if constant is None or evaluation["test_accuracy_interval"]["low"] > constant:
        return None
    photos = [sum(row) for row in evaluation["confusion_matrix"]]
    return {"accuracy": constant, "name": evaluation["classes"][photos.index(max(photos))]}


def _cause(state: str, error: contract.StateError) -> str:
    """Return the reason of a failure, after its state's name unless that is the error's, which the headline has."""
    cause = plain_cause(error.get("Cause", ""))
    return cause if state == error.get("Error") else f"{state}: {cause}"


def _approval(run: RunContext, decision: contract.Decision) -> str:
    if decision["approval"] != "PendingManualApproval":
        return decision["approval"]
    return "approved by a person" if run.approved_by_a_person else "a person was asked for approval"


def comparison(run: RunContext) -> dict[str, Any]:
    """Return the comparison of this model with the one in service, with the photos that only one of them gets right."""
    decision = run.files.decision
    in_service = decision["in_service"]
    if in_service is None:
        raise Missing("There was no model in service to compare this one with.")

    # what this model gets right was a mistake of the other, whose run has the picture
    files, other = run.files, in_service["run"]
    return {
        "other": in_service,
        "decision": decision,
        "thresholds": decision["thresholds"],
        "gained": [
            {**photo, "picture": files.picture(photo["path"]) or files.picture(photo["path"], run=other)}
            for photo in in_service["gained"]
        ],
        "lost": [{**photo, "picture": files.picture(photo["path"])} for photo in in_service["lost"]],
    }
