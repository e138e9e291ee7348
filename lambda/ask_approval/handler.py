"""AskApproval: asks people whether a model may be released, and keeps the token that their answer needs."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.notification import publish
from shared.s3_objects import write_json

import contract

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3")
sns = boto3.client("sns")


@logger.inject_lambda_context
def handler(event: contract.ApprovalRequest, context: LambdaContext) -> None:
    """Store the question and publish it. The state machine waits until somebody answers with the task token."""
    bucket, run = os.environ["BUCKET"], event["run"]

    # keep the token where people with access to the bucket can read it, but neither the jobs nor the endpoint
    asked = datetime.now(UTC)
    expires = asked + timedelta(hours=int(os.environ["APPROVAL_HOURS"]))
    question = contract.ApprovalQuestion(
        token=event["token"],
        run=run,
        execution=event["execution"],
        decision=event["verdict"]["decision"],
        package=event["package"],
        asked_at=asked.isoformat(timespec="seconds"),
        expires_at=expires.isoformat(timespec="seconds"),
    )
    location = write_json(s3, bucket=bucket, key=contract.approval_key(run), value=question)

    # ask
    publish(
        sns,
        topic_arn=os.environ["TOPIC_ARN"],
        subject=f"whippet: run {run} waits for your approval",
        text=_text(event, location=location, expires=question["expires_at"]),
    )
    logger.info("asked for approval", extra={"run": run, "expires_at": question["expires_at"]})


def _text(event: contract.ApprovalRequest, *, location: str, expires: str) -> str:
    verdict, run = event["verdict"], event["run"]
    passed = "has too few test photos to tell" if verdict["undecided"] else "passed every check"
    return "\n".join(
        [
            f"The model of run {run} {passed} and waits for your approval until {expires}.",
            f"Test accuracy: {verdict['test_accuracy']:.4f} on {verdict['test_images']} photos.",
            *verdict["reasons"],
            f"The decision with every number: {verdict['decision']}",
            "",
            "To release it:",
            f"  whippet approve {run}",
            "To reject it:",
            f'  whippet approve {run} --reject "why"',
            "",
            f"Without whippet, with the token in {location} as TOKEN:",
            """  aws stepfunctions send-task-success --task-token TOKEN --task-output '{"approved": true}'""",
            '  aws stepfunctions send-task-failure --task-token TOKEN --error ModelRejected --cause "why"',
            "",
            "Without an answer the model is rejected, and the one in service stays.",
        ]
    )
