"""The results of the debugger's rules, and the profile of the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contract import BLOCKING_RULES, RuleResult

from ..run_context import RunContext
from ..run_files import Missing, if_present

__all__ = ["profile", "rules"]

_STATUS_ORDER = ("IssuesFound", "Error", "Stopped", "NoIssuesFound", "NotApplicable")


def rules(run: RunContext) -> dict[str, Any]:
    """Return the results of all rules, first of those that found an issue, and of blocking ones before others."""
    results, blocking = _results(run)
    if not results:
        raise Missing("No rule was evaluated: the debugger is off (setting debugger.mode).")
    ordered = sorted(results, key=lambda result: (_place(result), result["rule"] not in blocking, result["rule"]))
    return {"results": ordered, "blocking": blocking, "hook": if_present(lambda: run.files.hook)}


def profile(run: RunContext) -> dict[str, Any]:
    """Return the profile and its charts."""
    found = run.files.profile
    return {
        "profile": found,
        "charts": {
            "phases": found["phases"],
            "steps": {"seconds": found["step_seconds"], "outliers": found["outliers"], "all": found["steps"]},
            "timeline": {
                "values": found["timeline"],
                "units": {entry["name"]: entry["unit"] for entry in found["utilization"]},
            },
        },
    }


def _results(run: RunContext) -> tuple[list[RuleResult], list[str]]:
    """Return the results and the blocking rules of the decision, or without a decision what the jobs wrote."""
    try:
        decision = run.files.decision
        return decision["rules"], decision["thresholds"]["blocking_rules"]
    except Missing as missing:
        reasons = [str(missing)]

    found: list[RuleResult] = []
    sources: tuple[Callable[[], list[RuleResult]], ...] = (
        lambda: run.files.rules["results"],
        lambda: run.files.profile["rules"],
    )
    for read in sources:
        try:
            found += read()
        except Missing as missing:
            reasons.append(str(missing))
    if not found:
        raise Missing(" ".join(reasons))
    return found, list(BLOCKING_RULES)


def _place(result: RuleResult) -> int:
    return _STATUS_ORDER.index(result["status"]) if result["status"] in _STATUS_ORDER else len(_STATUS_ORDER)
