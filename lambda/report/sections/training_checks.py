"""What the debugger's rules say, and where the training's time went."""

from __future__ import annotations

from typing import Any

from contract import BLOCKING_RULES, HookReport, RuleResult

from ..run_context import RunContext
from ..run_files import Missing

__all__ = ["profile", "rules"]

_ORDER = ("IssuesFound", "Error", "Stopped", "NoIssuesFound", "NotApplicable")


def rules(run: RunContext) -> dict[str, Any]:
    """Every rule, those that found something first."""
    results, blocking = _results(run)
    if not results:
        raise Missing("No rule was evaluated: the debugger is off (setting debugger.mode).")
    ordered = sorted(results, key=lambda result: (_place(result), result["rule"] not in blocking, result["rule"]))
    return {"results": ordered, "blocking": blocking, "hook": _hook(run), "way": run.at("debugger", "way")}


def profile(run: RunContext) -> dict[str, Any]:
    """The profile and its charts."""
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
    """The decision's list; where there is none, what the jobs wrote themselves."""
    try:
        decision = run.files.decision
        return decision["rules"], decision["thresholds"]["blocking_rules"]
    except Missing as missing:
        reasons = [str(missing)]
    found: list[RuleResult] = []
    for read in (_of_job, _of_profile):
        try:
            found += read(run)
        except Missing as missing:
            reasons.append(str(missing))
    if not found:
        raise Missing(" ".join(reasons))
    return found, list(BLOCKING_RULES)


def _of_job(run: RunContext) -> list[RuleResult]:
    return run.files.rules["results"]


def _of_profile(run: RunContext) -> list[RuleResult]:
    return run.files.profile["rules"]


def _place(result: RuleResult) -> int:
    return _ORDER.index(result["status"]) if result["status"] in _ORDER else len(_ORDER)


def _hook(run: RunContext) -> HookReport | None:
    try:
        return run.files.hook
    except Missing:
        return None
