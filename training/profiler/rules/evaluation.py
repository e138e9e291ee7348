"""Evaluates the profiler rules that a training job was asked for: each ends with a status and a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import contract
from training.profiler.measurements import Measurements
from training.profiler.rules.base import ProfilerRule
from training.profiler.rules.batch_size import BatchSize
from training.profiler.rules.bottlenecks import CPUBottleneck, IOBottleneck
from training.profiler.rules.dataloader import Dataloader
from training.profiler.rules.gpu_memory_increase import GPUMemoryIncrease
from training.profiler.rules.load_balancing import LoadBalancing
from training.profiler.rules.low_gpu_utilization import LowGPUUtilization
from training.profiler.rules.max_initialization_time import MaxInitializationTime
from training.profiler.rules.overall_system_usage import OverallSystemUsage
from training.profiler.rules.profiler_report import PROFILER_REPORT, profiler_report
from training.profiler.rules.step_outlier import StepOutlier

__all__ = ["PROFILER_RULES", "evaluate", "requested"]

PROFILER_RULES: Final[dict[str, type[ProfilerRule]]] = {
    rule.rule_name: rule
    for rule in (
        BatchSize,
        CPUBottleneck,
        Dataloader,
        GPUMemoryIncrease,
        IOBottleneck,
        LoadBalancing,
        LowGPUUtilization,
        MaxInitializationTime,
        OverallSystemUsage,
        StepOutlier,
    )
}


def requested(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the profiler rules that variables ask for, with their parameters as JSON, in the order of the contract."""
    profiler = [name for name, rule in contract.RULES.items() if rule.kind == "profiler"]
    variables = {name: contract.rule_variable(name) for name in profiler}
    return {name: environment[variable] for name, variable in variables.items() if variable in environment}


def evaluate(rules: Mapping[str, str], seen: Measurements) -> list[contract.RuleResult]:
    """Return how each rule ends, with the parameters of its JSON object and SageMaker's defaults.

    ProfilerReport sums up all other rules, which are evaluated for it whether or not they were asked for. Nothing is
    raised: a rule that cannot be evaluated ends as Error.
    """
    wanted = {name: rules.get(name, "{}") for name in PROFILER_RULES if name in rules or PROFILER_REPORT in rules}
    results = {name: _result(name, parameters, seen) for name, parameters in wanted.items()}
    if PROFILER_REPORT in rules:
        results[PROFILER_REPORT] = profiler_report(results.values())
    return [results[name] for name in rules]


def _result(name: str, parameters: str, seen: Measurements) -> contract.RuleResult:
    status: contract.RuleStatus
    step = None
    try:
        rule = PROFILER_RULES[name](**{**contract.RULES[name].defaults, **_parsed(name, parameters)})
        if reason := rule.inapplicable(seen):
            status, detail = "NotApplicable", reason
        else:
            status = "IssuesFound" if rule.invoke(seen) else "NoIssuesFound"
            detail, step = rule.detail, rule.step
    except Exception as error:
        status, detail = "Error", f"the rule could not be evaluated: {type(error).__name__}: {error}"
    return {"rule": name, "status": status, "detail": detail, "step": step, "evaluator": "own"}


def _parsed(name: str, parameters: str) -> dict[str, Any]:
    given = json.loads(parameters or "{}")
    if not isinstance(given, dict):
        raise contract.ContractError(f"{contract.rule_variable(name)} holds {parameters!r}; give a JSON object")
    return dict(contract.checked_parameters(name, given))
