"""What the training job's own profile says of the profiler rules."""

from __future__ import annotations

import contract
from training.profiler.rules.profiler_report import PROFILER_REPORT, profiler_report

__all__ = ["profiler_result"]


def profiler_result(rule: str, profile: contract.Profile | None, *, source: contract.RuleSource) -> contract.RuleResult:
    """How a profiler rule ended, by the profile; ProfilerReport, where the job was not asked for it, by the others."""
    if profile is None:
        return _error(rule, "the training left no profile.json that can be read", source=source)
    for result in profile["rules"]:
        if result["rule"] == rule:
            return {**result, "source": source}
    if rule == PROFILER_REPORT:
        return {**profiler_report(profile["rules"]), "source": source}
    return _error(rule, "the training job was not asked for this rule: profile.json does not hold it", source=source)


def _error(rule: str, detail: str, *, source: contract.RuleSource) -> contract.RuleResult:
    return contract.RuleResult(rule=rule, status="Error", detail=detail, step=None, source=source)
