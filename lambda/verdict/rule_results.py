"""The results of the debugger's rules, from everyone who evaluates rules, in one list."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.s3_objects import read_if_present

from contract import RULES, Artefact, Evaluator, RuleResult, why_not_applicable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["managed_results", "own_results", "profile_results", "with_missing"]

_CONDITION_MET = re.compile(
    r"(?:RuleEvaluationConditionMet: )?Evaluation of the rule \w+ at step (?P<step>\d+) resulted in the condition "
    r"being met\.?\s*(?P<detail>.*)",
    re.DOTALL,
)
"""The wording of `StatusDetails` where SageMaker Debugger found an issue."""

_NOT_APPLICABLE_PREFIX = "NotApplicable: "


def managed_results(sagemaker: SageMakerClient, training_job: str) -> list[RuleResult]:
    """Return the results of the rules that SageMaker Debugger evaluated for a training job."""
    described = sagemaker.describe_training_job(TrainingJobName=training_job)
    statuses = [
        *described.get("DebugRuleEvaluationStatuses", []),
        *described.get("ProfilerRuleEvaluationStatuses", []),
    ]
    return [_from_status(status) for status in statuses]


def own_results(s3: S3Client, *, bucket: str, run: str) -> list[RuleResult]:
    """Return the results that the run's own processing job wrote; none where it wrote nothing."""
    body = read_if_present(s3, bucket=bucket, key=f"runs/{run}/rules/{Artefact.RULES}")
    results: list[RuleResult] = json.loads(body)["results"] if body is not None else []
    return results


def profile_results(profile: bytes | None) -> list[RuleResult]:
    """Return the results of the profiler rules that the training job evaluated; none without a profile."""
    results: list[RuleResult] = json.loads(profile).get("rules", []) if profile is not None else []
    return results


def with_missing(
    results: Sequence[RuleResult], expected: Sequence[str], *, mode: str, evaluator: Evaluator
) -> list[RuleResult]:
    """Return the results in the order of the expected rules, with an `Error` for each rule without a result.

    A rule that cannot apply to a training of this `mode` was not evaluated, and is `NotApplicable`.
    """
    if evaluator == "off":
        return list(results)
    known = {result["rule"]: result for result in results}
    missing = {rule: _missing(rule, mode=mode, evaluator=evaluator) for rule in expected if rule not in known}
    return [*((known | missing)[rule] for rule in expected), *(r for r in results if r["rule"] not in expected)]


def _missing(rule: str, *, mode: str, evaluator: Evaluator) -> RuleResult:
    if why := why_not_applicable(rule, mode=mode, evaluator=evaluator):
        return RuleResult(rule=rule, status="NotApplicable", detail=why, step=None, evaluator=evaluator)
    return RuleResult(
        rule=rule,
        status="Error",
        detail="it was asked for, but nothing says how it ended; look at the logs of the training job and of the "
        "rules' job",
        step=None,
        evaluator=evaluator if evaluator in RULES[rule].evaluators else "own",
    )


def _from_status(status: Mapping[str, Any]) -> RuleResult:
    rule, ended = status["RuleConfigurationName"], status["RuleEvaluationStatus"]
    detail = status.get("StatusDetails", "")
    step = None
    if ended == "Error" and detail.startswith(_NOT_APPLICABLE_PREFIX):
        ended, detail = "NotApplicable", detail.removeprefix(_NOT_APPLICABLE_PREFIX)
    elif ended == "IssuesFound" and (met := _CONDITION_MET.match(detail)):
        step, detail = int(met["step"]), met["detail"].strip()
    elif ended in ("InProgress", "Stopping"):
        ended, detail = "Error", f"it had not ended: its status was {ended}"
    return RuleResult(rule=rule, status=ended, detail=detail, step=step, evaluator="managed")
