"""What the training job's own profile says of the profiler rules."""

from __future__ import annotations

from typing import Final

from training import contract

__all__ = ["profiler_result"]

_REPORT: Final = "ProfilerReport"


def profiler_result(rule: str, profile: contract.Profile | None, *, source: contract.RuleSource) -> contract.RuleResult:
    """How a profiler rule ended, by the profile.

    ProfilerReport stands for all: it finds issues where any other profiler rule does.
    Source: "ProfilerReport", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """
    status: contract.RuleStatus
    step = None
    if profile is None:
        status, detail = "Error", "the training left no profile.json"
    elif rule == _REPORT:
        # In the words of `training.profiler_rules.evaluation`, which says it where the job itself is asked for it.
        others = [other for other in profile["rules"] if other["rule"] != _REPORT]
        found = [other for other in others if other["status"] == "IssuesFound"]
        judged = [other for other in others if other["status"] in ("IssuesFound", "NoIssuesFound")]
        status = "IssuesFound" if found else "NoIssuesFound"
        detail = f"{len(found)} of the {len(judged)} profiler rules that apply here found an issue"
        detail += f": {', '.join(other['rule'] for other in found)}" if found else ""
        step = found[0]["step"] if found else None
    else:
        results = {other["rule"]: other for other in profile["rules"]}
        if rule in results:
            status, detail, step = results[rule]["status"], results[rule]["detail"], results[rule]["step"]
        else:
            status, detail = "Error", "the training job was not asked for this rule: profile.json does not hold it"
    return contract.RuleResult(rule=rule, status=status, detail=detail[:1000], step=step, source=source)
