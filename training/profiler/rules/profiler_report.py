"""The profiler rules as the training job's profile reports them, and ProfilerReport, which sums them up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import contract

__all__ = ["PROFILER_REPORT", "profiler_report", "profiler_result"]

PROFILER_REPORT: Final = "ProfilerReport"


def profiler_report(others: Iterable[contract.RuleResult]) -> contract.RuleResult:
    """Return ProfilerReport's result: an issue where any of the other profiler rules found one.

    Its step is that of the first rule that found an issue.

    Source: "ProfilerReport", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """
    evaluated = [other for other in others if other["status"] in ("IssuesFound", "NoIssuesFound")]
    found = [other for other in evaluated if other["status"] == "IssuesFound"]
    named = f": {', '.join(other['rule'] for other in found)}" if found else ""
    return {
        "rule": PROFILER_REPORT,
        "status": "IssuesFound" if found else "NoIssuesFound",
        "detail": f"{len(found)} of the {len(evaluated)} profiler rules that apply here found an issue{named}",
        "step": found[0]["step"] if found else None,
        "evaluator": "own",
    }


def profiler_result(
    rule: str, profile: contract.Profile | None, *, evaluator: contract.Evaluator
) -> contract.RuleResult:
    """Return the result that a profile holds for a profiler rule.

    ProfilerReport is summed up from the other rules where the training job was not asked for it. A rule that the
    profile does not hold ends as Error, as every rule does without a profile.
    """
    if profile is None:
        return _error(rule, "the training left no profile.json that can be read", evaluator)
    for result in profile["rules"]:
        if result["rule"] == rule:
            return {**result, "evaluator": evaluator}
    if rule == PROFILER_REPORT:
        return {**profiler_report(profile["rules"]), "evaluator": evaluator}
    return _error(rule, "the training job was not asked for this rule: profile.json does not hold it", evaluator)


def _error(rule: str, detail: str, evaluator: contract.Evaluator) -> contract.RuleResult:
    return contract.RuleResult(rule=rule, status="Error", detail=detail, step=None, evaluator=evaluator)
