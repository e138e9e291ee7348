"""AlarmNotice: publishes a message when an alarm of the endpoint goes off, and when it is over."""

from __future__ import annotations

import os
from typing import TypedDict

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.notification import publish

__all__ = ["AlarmChange", "handler"]

logger = Logger()
sns = boto3.client("sns")

ADVICE = (
    "If a rollout is going on, SageMaker puts the model before back by itself, and the run tells so. If not, the cause "
    "is the model in service or what it is asked: `whippet history` shows which models there were, and `whippet "
    "rollback` puts the one before back within minutes. The endpoint's log is in /aws/sagemaker/Endpoints."
)


class _State(TypedDict):
    value: str
    reason: str


class _Configuration(TypedDict, total=False):
    description: str


class _Change(TypedDict):
    alarmName: str
    state: _State
    previousState: _State
    configuration: _Configuration


class AlarmChange(TypedDict):
    """CloudWatch's event "CloudWatch Alarm State Change" ("Alarm events and EventBridge"), as far as it is read."""

    time: str
    detail: _Change


@logger.inject_lambda_context
def handler(event: AlarmChange, context: LambdaContext) -> None:
    """Publish a message on an alarm that went off or is over; an alarm that sees its first data is neither."""
    change = event["detail"]
    name, state, before = change["alarmName"], change["state"], change["previousState"]["value"]
    if state["value"] == "OK" and before != "ALARM":
        return
    description = change["configuration"].get("description", "")
    if state["value"] == "ALARM":
        subject = f"whippet: the alarm {name} went off"
        lines = [f"The alarm {name} went off at {event['time']}. {description}", "", state["reason"], "", ADVICE]
    else:
        subject = f"whippet: the alarm {name} is over"
        lines = [f"The alarm {name} is over since {event['time']}. It was: {description}"]
    publish(sns, topic_arn=os.environ["TOPIC_ARN"], subject=subject, text="\n".join(lines))
    logger.info("told", extra={"alarm": name, "state": state["value"]})
