"""How every rule that was asked for ended, in one list, whoever evaluated it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contract import RULES, Artefact, Evaluator, RuleResult, why_not_applicable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["managed_results", "own_results", "profile_results", "with_missing"]

_MET = re.compile(
    r"(?:RuleEvaluationConditionMet: )?Evaluation of the rule \w+ at step (?P<step>\d+) resulted in the condition "
    r"being met\.?\s*(?P<detail>.*)",
    re.DOTALL,
)
"""How SageMaker Debugger words `StatusDetails` of IssuesFound."""

_NOT_APPLICABLE_PREFIX = "NotApplicable: "


def managed_results(sagemaker: SageMakerClient, training_job: str) -> list[RuleResult]:
    """What SageMaker Debugger says of the rules of a training job, once all of them have ended."""
    described = sagemaker.describe_training_job(TrainingJobName=training_job)
    statuses = [
        *described.get("DebugRuleEvaluationStatuses", []),
        *described.get("ProfilerRuleEvaluationStatuses", []),
    ]
    return [_from_status(status) for status in statuses]


def own_results(s3: S3Client, *, bucket: str, run: str) -> list[RuleResult]:
    """What the rules' job of ours wrote; empty where it wrote nothing."""
    try:
        body = s3.get_object(Bucket=bucket, Key=f"runs/{run}/rules/{Artefact.RULES}")["Body"].read()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return []
        raise
    results: list[RuleResult] = json.loads(body)["results"]
    return results


def profile_results(profile: bytes | None) -> list[RuleResult]:
    """What the profiler rules said at the end of the training job; empty without a profile."""
    if profile is None:
        return []
    results: list[RuleResult] = json.loads(profile).get("rules", [])
    return results


def with_missing(
    results: Sequence[RuleResult], expected: Sequence[str], *, mode: str, way: Evaluator
) -> list[RuleResult]:
    """The results in the order of the rules asked for.

    One of which nothing was heard could not be judged, unless it cannot apply to a training of this `mode`, of which
    nobody was asked.
    """
    if way == "off":
        return list(results)
    known = {result["rule"]: result for result in results}
    silent = {rule: _silent(rule, mode=mode, way=way) for rule in expected if rule not in known}
    return [*((known | silent)[rule] for rule in expected), *(r for r in results if r["rule"] not in expected)]


def _silent(rule: str, *, mode: str, way: Evaluator) -> RuleResult:
    if why := why_not_applicable(rule, mode=mode, evaluator=way):
        return RuleResult(rule=rule, status="NotApplicable", detail=why, step=None, evaluator=way)
    return RuleResult(
        rule=rule,
        status="Error",
        detail="it was asked for, but nothing says how it ended; look at the training job's and the rules' job's logs",
        step=None,
        evaluator=way if way in RULES[rule].evaluators else "own",
    )


def _from_status(status: Mapping[str, Any]) -> RuleResult:
    rule, ended = status["RuleConfigurationName"], status["RuleEvaluationStatus"]
    detail = status.get("StatusDetails", "")
    step = None
    if ended == "Error" and detail.startswith(_NOT_APPLICABLE_PREFIX):
        ended, detail = "NotApplicable", detail.removeprefix(_NOT_APPLICABLE_PREFIX)
    elif ended == "IssuesFound" and (met := _MET.match(detail)):
        step, detail = int(met["step"]), met["detail"].strip()
    elif ended in ("InProgress", "Stopping"):
        ended, detail = "Error", f"it had not ended: its status was {ended}"
    return RuleResult(rule=rule, status=ended, detail=detail, step=step, evaluator="managed")
