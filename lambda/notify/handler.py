"""Notify: sends the message about how a run ended, and gives the execution its outcome."""

from __future__ import annotations

import os

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError
from shared.notification import publish

import contract

from .run_message import Message, compose, report_of

__all__ = ["handler"]

logger = Logger()
sns = boto3.client("sns")

MAX_CAUSE = 32_000
"""Longest cause. Step Functions takes 32,768 characters (API reference, SendTaskFailure)."""


@logger.inject_lambda_context
def handler(event: contract.EndInput, context: LambdaContext) -> contract.RunOutcome:
    """Publish the message, and return how the execution ends.

    A message that cannot be published does not change how the run ended: it is logged, and mentioned in the cause.
    """
    message = compose(event["run"], execution=event["execution"])
    problem = _publish(message)
    cause = f"{message.cause} (The notification could not be sent: {problem})" if problem else message.cause
    logger.info("run ended", extra={"status": message.status, "error": message.error, "cause": message.cause})
    return contract.RunOutcome(
        status=message.status, error=message.error, cause=cause[:MAX_CAUSE], report=report_of(event["run"])
    )


def _publish(message: Message) -> str:
    """Publish the message, and return what went wrong; empty where nothing did."""
    try:
        publish(sns, topic_arn=os.environ["TOPIC_ARN"], subject=message.subject, text=message.text)
    except (BotoCoreError, ClientError) as error:
        logger.exception("the notification could not be sent")
        return str(error)
    return ""
