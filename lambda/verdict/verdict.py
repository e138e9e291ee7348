"""Verdict: may this model go into service? The decision is stored with every input and reason."""

from __future__ import annotations

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from job_output import read_evaluation
from model_in_service import find_model_in_service
from release_rules import Decision, decide

from training import contract

__all__ = ["ModelRejected", "handler"]

logger = Logger()
s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")


class ModelRejected(Exception):
    """The model may not be released; the message gives the reasons. Step Functions sees this class's name."""


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Judge the model of `event["run"]`, trained by `event["training_job"]`; store and return the decision.

    Raises:
        ModelRejected: the model is not good enough; the one in service stays.
        UnreadableOutput: the training job left no evaluation.
    """
    bucket, run = os.environ["BUCKET"], event["run"]
    evaluation = read_evaluation(
        s3, bucket=bucket, key=f"runs/{run}/training/{event['training_job']}/output/output.tar.gz"
    )
    in_service = find_model_in_service(
        s3, sagemaker, bucket=bucket, endpoint=os.environ["ENDPOINT_NAME"], name_prefix=os.environ["NAME_PREFIX"]
    )
    decision = decide(
        evaluation,
        run=run,
        model=event["model"],
        min_accuracy=float(os.environ["MIN_ACCURACY"]),
        tolerance=float(os.environ["TOLERANCE"]),
        in_service=in_service,
    )
    stored = _store(bucket, decision)
    logger.info("decided", extra={"run": run, "accepted": decision["accepted"], "reasons": decision["reasons"]})
    if not decision["accepted"]:
        raise ModelRejected(" ".join(decision["reasons"]))
    return {
        "test_accuracy": decision["test_accuracy"],
        "test_images": decision["test_images"],
        "reasons": decision["reasons"],
        "decision": stored,
    }


def _store(bucket: str, decision: Decision) -> str:
    """Write the decision; returns its URI."""
    key = f"runs/{decision['run']}/{contract.Artefact.DECISION}"
    s3.put_object(
        Bucket=bucket,
        Key=key,
        Body=json.dumps(decision, ensure_ascii=False, indent=2).encode(),
        ContentType="application/json",
    )
    return f"s3://{bucket}/{key}"
