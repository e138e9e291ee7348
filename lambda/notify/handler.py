"""Notify: tells in plain words how a run ended, and gives the execution its result."""

from __future__ import annotations

import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from .run_message import Message, compose, report_of

__all__ = ["handler"]

logger = Logger()
sns = boto3.client("sns")

_MAX_SUBJECT = 100
"""SNS API reference, Publish: Subject, ASCII."""
MAX_CAUSE = 32_000
"""Step Functions cuts a cause at 32,768 characters."""


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Publish the message, and return `status`, `error`, `cause` and `report` for the end of the execution.

    A message that cannot be published does not change how the run ended; it is logged, and said in the cause.
    """
    message = compose(event["run"], execution=event["execution"])
    problem = _publish(message)
    cause = f"{message.cause} (The notification could not be sent: {problem})" if problem else message.cause
    logger.info("run ended", extra={"status": message.status, "error": message.error, "cause": message.cause})
    report = report_of(event["run"])
    return {"status": message.status, "error": message.error, "cause": cause[:MAX_CAUSE], "report": report}


def _publish(message: Message) -> str:
    subject = message.subject.encode("ascii", "replace").decode()[:_MAX_SUBJECT]
    try:
        sns.publish(TopicArn=os.environ["TOPIC_ARN"], Subject=subject, Message=message.text)
    except (BotoCoreError, ClientError) as error:
        logger.exception("the notification could not be sent")
        return str(error)
    return ""
