"""Evaluate Debugger's rules on this machine, with this project's `python -m training.evaluate_rules`.

SageMaker has no status for a rule that does not apply to a training. Here that is `Error`, with StatusDetails that
begin with `NotApplicable: `. If a rule fires, StatusDetails names the step in AWS's words:
`RuleEvaluationConditionMet: Evaluation of the rule X at step N resulted in the condition being met`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from contract import Artefact, RuleResult, RulesReport, rule_variable
from local.sagemaker import RuleOutcome, RuleTask

__all__ = ["DebuggerRules"]

_INVOKED: Final = "rule_to_invoke"
"""The rule parameter that names the rule itself."""


class DebuggerRules:
    """The `local.sagemaker.RuleEvaluator` that evaluates this project's rules.

    Args:
        python: interpreter of the training environment.
        root: the folder with training/.
    """

    def __init__(self, *, python: Path, root: Path) -> None:
        self._python = python
        self._root = root

    def command(self, task: RuleTask) -> tuple[list[str], dict[str, str]]:
        """Return the program's argv and its variables: one for each rule, with the rule's parameters."""
        argv = [str(self._python), "-m", "training.evaluate_rules", "--source", "managed"]
        argv += ["--tensors", str(task.tensors), "--output", str(task.results)]
        argv += ["--mode", task.hyperparameters.get("mode", "features")]
        profile = task.output / Artefact.PROFILE
        if profile.is_file():
            argv += ["--profile", str(profile)]

        variables = {
            rule_variable(parameters[_INVOKED]): json.dumps(
                {name: value for name, value in parameters.items() if name != _INVOKED}
            )
            for parameters in task.rules.values()
        }
        return argv, {"PYTHONPATH": str(self._root), **variables}

    def outcomes(self, task: RuleTask) -> Mapping[str, RuleOutcome]:
        """Return the results in the program's report as SageMaker's statuses."""
        report: RulesReport = json.loads((task.results / Artefact.RULES).read_text())
        by_rule = {result["rule"]: result for result in report["results"]}
        return {
            name: _outcome(by_rule[parameters[_INVOKED]])
            for name, parameters in task.rules.items()
            if parameters[_INVOKED] in by_rule
        }


def _outcome(result: RuleResult) -> RuleOutcome:
    if result["status"] == "IssuesFound":
        where = "" if result["step"] is None else f" at step {result['step']}"
        told = f"Evaluation of the rule {result['rule']}{where} resulted in the condition being met"
        return RuleOutcome("IssuesFound", f"RuleEvaluationConditionMet: {told}. {result['detail']}".strip())
    if result["status"] == "NoIssuesFound":
        return RuleOutcome("NoIssuesFound", result["detail"])
    if result["status"] == "NotApplicable":
        return RuleOutcome("Error", f"NotApplicable: {result['detail']}")
    return RuleOutcome("Error", result["detail"])
