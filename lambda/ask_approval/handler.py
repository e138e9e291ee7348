"""AskApproval: tells people that a model waits for their yes or no, and keeps the token that their answer needs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from contract import Artefact

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3")
sns = boto3.client("sns")

_MAX_SUBJECT = 100
"""SNS API reference, Publish: Subject, ASCII."""


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Store `runs/<run>/approval.json` and publish the question; the state machine goes on waiting for the answer."""
    bucket, run = os.environ["BUCKET"], event["run"]
    asked = datetime.now(UTC)
    expires = asked + timedelta(hours=int(os.environ["APPROVAL_HOURS"]))
    approval = {
        "token": event["token"],
        "run": run,
        "execution": event["execution"],
        "decision": event["verdict"]["decision"],
        "package": event["package"],
        "asked_at": asked.isoformat(timespec="seconds"),
        "expires_at": expires.isoformat(timespec="seconds"),
    }
    key = f"runs/{run}/{Artefact.APPROVAL}"
    s3.put_object(
        Bucket=bucket,
        Key=key,
        Body=json.dumps(approval, ensure_ascii=False, indent=2).encode(),
        ContentType="application/json",
    )
    subject = f"whippet: run {run} waits for your approval".encode("ascii", "replace").decode()
    sns.publish(
        TopicArn=os.environ["TOPIC_ARN"],
        Subject=subject[:_MAX_SUBJECT],
        Message=_question(event, location=f"s3://{bucket}/{key}", expires=approval["expires_at"]),
    )
    logger.info("asked for approval", extra={"run": run, "expires_at": approval["expires_at"]})
    return {"approval": f"s3://{bucket}/{key}", "expires_at": approval["expires_at"]}


def _question(event: Mapping[str, Any], *, location: str, expires: str) -> str:
    verdict, run = event["verdict"], event["run"]
    return "\n".join(
        [
            f"The model of run {run} passed every check and waits for your approval until {expires}.",
            f"Test accuracy: {verdict['test_accuracy']:.4f} on {verdict['test_images']} photos.",
            *verdict["reasons"],
            f"The decision with every number: {verdict['decision']}",
            "",
            "Release it:",
            f"  whippet approve {run}",
            "Keep it out:",
            f'  whippet approve {run} --reject "why"',
            "",
            f"Without whippet, with TOKEN from {location}:",
            """  aws stepfunctions send-task-success --task-token TOKEN --task-output '{"approved": true}'""",
            '  aws stepfunctions send-task-failure --task-token TOKEN --error ModelRejected --cause "why"',
            "",
            "Without an answer the model is rejected and the one in service stays.",
        ]
    )
