"""ProfilerReport, which stands for all the other profiler rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import contract

__all__ = ["PROFILER_REPORT", "profiler_report"]

PROFILER_REPORT: Final = "ProfilerReport"


def profiler_report(others: Iterable[contract.RuleResult]) -> contract.RuleResult:
    """It finds an issue where any of the others does; its step is that of the first of these.

    Source: "ProfilerReport", List of Debugger built-in profiler rules (Amazon SageMaker AI developer guide).
    """
    judged = [other for other in others if other["status"] in ("IssuesFound", "NoIssuesFound")]
    found = [other for other in judged if other["status"] == "IssuesFound"]
    named = f": {', '.join(other['rule'] for other in found)}" if found else ""
    return {
        "rule": PROFILER_REPORT,
        "status": "IssuesFound" if found else "NoIssuesFound",
        "detail": f"{len(found)} of the {len(judged)} profiler rules that apply here found an issue{named}",
        "step": found[0]["step"] if found else None,
        "source": "own",
    }
