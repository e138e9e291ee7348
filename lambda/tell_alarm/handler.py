"""TellAlarm: says in words that an alarm came or went, what it means and what to do."""

from __future__ import annotations

import os
from typing import NotRequired, TypedDict

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.console_links import alarm_link
from shared.notification import publish

import contract

__all__ = ["handler"]

logger = Logger()
sns = boto3.client("sns")


class State(TypedDict):
    """The state of an alarm, as EventBridge has it."""

    value: str
    reason: NotRequired[str]


class Configuration(TypedDict):
    """What is known of an alarm beside its state."""

    description: NotRequired[str]


class Detail(TypedDict):
    """The change of an alarm ("Alarm events and EventBridge", CloudWatch user guide)."""

    alarmName: str
    state: State
    previousState: NotRequired[State]
    configuration: NotRequired[Configuration]


class AlarmEvent(TypedDict):
    """EventBridge's event about it."""

    resources: list[str]
    detail: Detail


@logger.inject_lambda_context
def handler(event: AlarmEvent, context: LambdaContext) -> None:
    """Publish a message about an alarm that came, or that went.

    Nothing is told of an alarm that is quiet for the first time, nor of one that something else tells of.
    """
    detail = event["detail"]
    name, state, before = detail["alarmName"], detail["state"]["value"], detail.get("previousState", {}).get("value")
    known = contract.alarm_of(name, prefix=os.environ["NAME_PREFIX"])
    text = None if known is None else contract.ALARMS[known]
    is_over = state == "OK"
    logger.info("alarm changed", extra={"alarm": name, "from": before, "to": state})
    if (text is not None and not text.is_told) or (is_over and before != "ALARM"):
        return

    meaning = detail.get("configuration", {}).get("description", "") if text is None else text.meaning
    lines = [f"{name} is over." if is_over else f"{name}: {meaning}".rstrip(": "), ""]
    if not is_over:
        steps = () if text is None else text.steps
        lines += [*(f"{number}. {step}" for number, step in enumerate(steps, start=1)), *([""] if steps else [])]
    if reason := detail["state"].get("reason"):
        lines += [f"CloudWatch says: {reason}"]
    lines += [f"Alarm: {alarm_link(event['resources'][0])}"]
    publish(
        sns,
        topic_arn=os.environ["TOPIC_ARN"],
        subject=f"whippet: {name} is over" if is_over else f"whippet: ALARM {name}",
        text="\n".join(lines),
    )
