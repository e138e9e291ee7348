"""How the run ended: whether the model went into service, and why."""

from __future__ import annotations

from typing import Any

from shared.plain_cause import plain_cause

import contract

from ..run_context import RunContext
from ..run_files import Missing, if_present

__all__ = ["CHECK_TITLES", "comparison", "outcome"]

CHECK_TITLES: dict[str, str] = {
    "accuracy": "Accuracy",
    "class_recall": "Worst class",
    "gap": "Validation and test",
    "in_service": "Model in service",
    "leakage": "Leakage between splits",
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
    reasons = decision["reasons"] if decision else []

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
        "checks": [{**check, "title": CHECK_TITLES.get(check["name"], check["name"])} for check in decision["checks"]]
        if decision
        else [],
        "approval": _approval(run, decision) if decision else None,
        "evaluation": evaluation,
        "mirror": evaluation["mirror_averaging"] if evaluation else None,
        "fine_tuning": evaluation["fine_tuning"] if evaluation else None,
        "decision": decision,
    }


def _cause(state: str, error: contract.StateError) -> str:
    """Return the reason of a failure, after its state's name unless that is the error's, which the headline has."""
    cause = plain_cause(error.get("Cause", ""))
    return cause if state == error.get("Error") else f"{state}: {cause}"


def _approval(run: RunContext, decision: contract.Decision) -> str:
    if decision["approval"] != "PendingManualApproval":
        return decision["approval"]
    return "approved by a person" if run.approved_by_a_person else "a person was asked for approval"


def comparison(run: RunContext) -> dict[str, Any]:
    """Return the comparison of this model with the one in service."""
    decision = run.files.decision
    in_service = decision["in_service"]
    if in_service is None:
        raise Missing("There was no model in service to compare this one with.")
    return {"other": in_service, "decision": decision, "thresholds": decision["thresholds"]}
