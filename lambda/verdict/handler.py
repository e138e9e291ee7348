"""Verdict: may this model go into service? The decision is stored with every input and reason."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from contract import NOT_APPLICABLE, Artefact, Decision, Evaluator, RuleResult, Thresholds, result_key

from .model_in_service import find_model_in_service
from .package_metadata import package_metadata
from .release_decision import decide
from .rule_results import managed_results, own_results, profile_results, with_missing
from .service_comparison import compare
from .split_leakage import find_leakage
from .training_output import evaluation_of, unpack

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Judge the model of `event["run"]`, trained by `event["training_job"]` in `event["mode"]`; store the decision.

    `event["debugger"]` says who evaluated the rules. Returns the decision's summary, of a rejected model, too.

    Raises:
        UnreadableOutput: the training job left no evaluation, or no answers to compare with those of the model in
            service.
    """
    bucket, run = os.environ["BUCKET"], event["run"]
    key = f"runs/{run}/training/{event['training_job']}/output/output.tar.gz"
    files = unpack(s3, bucket=bucket, key=key, run=run)
    evaluation = evaluation_of(files, uri=f"s3://{bucket}/{key}")
    in_service = find_model_in_service(
        s3, sagemaker, bucket=bucket, endpoint=os.environ["ENDPOINT_NAME"], name_prefix=os.environ["NAME_PREFIX"]
    )
    way: Evaluator = event["debugger"]
    decision = decide(
        evaluation,
        run=run,
        model=event["model"],
        code_version=os.environ["CODE_VERSION"],
        decided_at=datetime.now(UTC).isoformat(timespec="seconds"),
        thresholds=_thresholds(os.environ),
        manual_approval=os.environ["APPROVAL"] == "manual",
        comparison=compare(evaluation, files.get(Artefact.PREDICTIONS), in_service),
        leakage=find_leakage(s3, bucket=bucket, run=run),
        way=way,
        rules=_rules(event, bucket, way=way, profile=files.get(Artefact.PROFILE)),
    )
    stored = _store(bucket, decision)
    logger.info("decided", extra={"run": run, "accepted": decision["accepted"], "reasons": decision["reasons"]})
    return _summary(decision, uri=stored, evaluation=f"s3://{bucket}/{result_key(run, Artefact.EVALUATION)}")


def _thresholds(settings: Mapping[str, str]) -> Thresholds:
    return Thresholds(
        min_accuracy=float(settings["MIN_ACCURACY"]),
        min_class_recall=float(settings["MIN_CLASS_RECALL"]),
        tolerance=float(settings["TOLERANCE"]),
        significance=float(settings["SIGNIFICANCE"]),
        blocking_rules=json.loads(settings["BLOCKING_RULES"]),
    )


def _rules(event: Mapping[str, Any], bucket: str, *, way: Evaluator, profile: bytes | None) -> list[RuleResult]:
    results = profile_results(profile)
    if way == "managed":
        results = managed_results(sagemaker, event["training_job"]) + results
    elif way == "own":
        results = own_results(s3, bucket=bucket, run=event["run"]) + results
    mode = event["mode"]
    asked: list[str] = json.loads(os.environ["RULES"])[mode]
    # A run may change the mode, and with it the rules; one that blocks in the other mode may not apply to this one.
    blocking: list[str] = json.loads(os.environ["BLOCKING_RULES"])
    asked += [rule for rule in blocking if rule in NOT_APPLICABLE[mode] and rule not in asked]
    return with_missing(results, asked, mode=mode, way=way)


def _store(bucket: str, decision: Decision) -> str:
    """Write the decision; returns its URI."""
    key = f"runs/{decision['run']}/{Artefact.DECISION}"
    s3.put_object(
        Bucket=bucket,
        Key=key,
        Body=json.dumps(decision, ensure_ascii=False, indent=2).encode(),
        ContentType="application/json",
    )
    return f"s3://{bucket}/{key}"


def _summary(decision: Decision, *, uri: str, evaluation: str) -> dict[str, Any]:
    """What the later states need. Step Functions takes no NaN, which is not JSON, so such an accuracy is told as 0."""
    accuracy = decision["test_accuracy"]
    return {
        "accepted": decision["accepted"],
        "approval": decision["approval"],
        "cause": " ".join(decision["reasons"]),
        "reasons": decision["reasons"],
        "test_accuracy": accuracy if math.isfinite(accuracy) else 0.0,
        "test_images": decision["test_images"],
        "decision": uri,
        "evaluation": evaluation,
        "metadata": package_metadata(decision, decision_uri=uri),
    }
