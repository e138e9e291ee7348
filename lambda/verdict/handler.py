"""Verdict: decides whether a model may go into service, and stores the decision with all that it is based on."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.s3_objects import write_json

import contract
from contract import Artefact, Decision, RuleResult, Thresholds

from .model_in_service import StoredRun, find_model_in_service
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
def handler(event: contract.VerdictInput, context: LambdaContext) -> contract.Verdict:
    """Judge the model of a training job, and store the decision.

    Returns:
        The summary of the decision, also where the model is rejected or too few test photos leave it open.

    Raises:
        UnreadableOutput: the training job left no evaluation, or no predictions to compare with those of the model in
            service.
    """
    bucket, run = os.environ["BUCKET"], event["run"]

    # read what the training left, and the model in service
    # beside the model: the training may be that of the run which is tried again
    folder = event["model"].removeprefix(f"s3://{bucket}/").rpartition("/")[0]
    key = f"{folder}/output.tar.gz"
    files = unpack(s3, bucket=bucket, key=key, run=run)
    evaluation = evaluation_of(files, uri=f"s3://{bucket}/{key}")
    in_service = find_model_in_service(
        s3,
        sagemaker,
        bucket=bucket,
        endpoint=os.environ["ENDPOINT_NAME"],
        sleep_record=os.environ["SLEEP_RECORD"],
        name_prefix=os.environ["NAME_PREFIX"],
    )

    # decide
    decision = decide(
        evaluation,
        run=run,
        model=event["model"],
        code_version=os.environ["CODE_VERSION"],
        decided_at=datetime.now(UTC).isoformat(timespec="seconds"),
        thresholds=_thresholds(os.environ),
        manual_approval=os.environ["APPROVAL"] == "manual",
        comparison=compare(files, own=StoredRun(s3, bucket, run), in_service=in_service),
        leakage=find_leakage(s3, bucket=bucket, run=run),
        evaluator=event["debugger"],
        rules=_rule_results(event, bucket, profile=files.get(Artefact.PROFILE)),
    )

    # store the decision
    uri = write_json(s3, bucket=bucket, key=f"runs/{run}/{Artefact.DECISION}", value=decision)
    logger.info("decided", extra={"run": run, "accepted": decision["accepted"], "reasons": decision["reasons"]})
    return _summary(
        decision,
        uri=uri,
        interval=evaluation["test_accuracy_interval"],
        evaluation=f"s3://{bucket}/{contract.result_key(run, Artefact.EVALUATION)}",
        in_service=in_service.config if in_service else "",
    )


def _thresholds(settings: Mapping[str, str]) -> Thresholds:
    thresholds = Thresholds(
        min_accuracy=float(settings["MIN_ACCURACY"]),
        accuracy_by="group" if settings["ACCURACY_BY"] == "group" else "photo",
        min_class_recall=float(settings["MIN_CLASS_RECALL"]),
        max_near_copies=float(settings["MAX_NEAR_COPIES"]),
        tolerance=float(settings["TOLERANCE"]),
        significance=float(settings["SIGNIFICANCE"]),
        blocking_rules=json.loads(settings["BLOCKING_RULES"]),
    )

    # what is checked only where it is asked for
    if share := settings.get("MIN_KNOWN_SHARE"):
        thresholds["min_known_share"] = float(share)
    if gap := settings.get("MAX_COVERAGE_GAP"):
        thresholds["max_coverage_gap"] = float(gap)
    return thresholds


def _rule_results(event: contract.VerdictInput, bucket: str, *, profile: bytes | None) -> list[RuleResult]:
    """Return the results of all rules that the settings ask for, wherever they were evaluated."""
    results: Sequence[RuleResult] = profile_results(profile)
    if event["debugger"] == "managed":
        results = [*managed_results(sagemaker, event["training_job"]), *results]
    elif event["debugger"] == "own":
        results = [*own_results(s3, bucket=bucket, run=event["run"]), *results]
    expected: list[str] = json.loads(os.environ["RULES"])
    return with_missing(results, expected, mode=event["mode"], evaluator=event["debugger"])


def _summary(
    decision: Decision, *, uri: str, interval: contract.Interval, evaluation: str, in_service: str
) -> contract.Verdict:
    """Return what later states need. An accuracy that is not a number becomes 0, since JSON has no NaN."""
    accuracy = decision["test_accuracy"]
    return contract.Verdict(
        accepted=decision["accepted"],
        undecided=decision["undecided"],
        approval=decision["approval"],
        cause=" ".join(decision["reasons"]),
        reasons=decision["reasons"],
        test_accuracy=accuracy if math.isfinite(accuracy) else 0.0,
        test_images=decision["test_images"],
        test_accuracy_interval=interval,
        decision=uri,
        evaluation=evaluation,
        in_service=in_service,
        metadata=package_metadata(decision, decision_uri=uri),
    )
