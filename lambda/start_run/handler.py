"""StartRun: starts a run for an event, once, and not beside one for the same photos.

Lambda invokes it again where it fails. Each attempt gives the execution the same name and input, for which Step
Functions starts one execution at most.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Final

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError
from shared.notification import publish

import contract

from .claim import Claims
from .event import TriggerEvent, read_event
from .reasons import Reason, going_on, why_not

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3")
sns = boto3.client("sns")
states = boto3.client("stepfunctions")

_BY: Final[Mapping[contract.Trigger, str]] = {
    "ready": f"the object {contract.READY_FILE}",
    "schedule": "the schedule",
    "drift": "drift",
}


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> contract.TriggerOutcome:
    """Start a run for an event, or say why not.

    Raises:
        UnknownEventError: the event is none of those that start a run.
    """
    told, machine = read_event(event), os.environ["STATE_MACHINE_ARN"]
    logger.append_keys(trigger=told.trigger, execution=told.name)

    # another event may have come within the same second
    claims = Claims(s3, states, bucket=os.environ["BUCKET"], key=os.environ["START_LOCK"], machine=machine)
    started = None
    while started is None:
        last = claims.last_started()
        running = going_on(states, machine)
        if last is not None and last["name"] not in {each["name"] for each in running}:
            running.insert(0, last)

        # EventBridge may deliver an event twice
        started = next((each["executionArn"] for each in running if each["name"] == told.name), None)
        if started is not None:
            break
        reason = why_not(
            told,
            running,
            states=states,
            s3=s3,
            machine=machine,
            bucket=os.environ["BUCKET"],
            prefix=os.environ["DATASET_PREFIX"],
            drift_days=int(os.environ["DRIFT_DAYS"]),
        )
        if reason is not None:
            _tell(told, reason)
            return contract.TriggerOutcome(trigger=told.trigger, execution="", why_not=reason.text)
        if claims.take(told.name):
            started = _start(told, machine)
    logger.info("the event has its run", extra={"arn": started, "why": told.comment})
    return contract.TriggerOutcome(trigger=told.trigger, execution=started, why_not="")


def _start(event: TriggerEvent, machine: str) -> str:
    """Start the execution of an event, and return its ARN; also where it has been started, and has ended, before."""
    given = json.dumps({"Comment": event.comment})
    try:
        return states.start_execution(stateMachineArn=machine, name=event.name, input=given)["executionArn"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
    return f"{machine.replace(':stateMachine:', ':execution:')}:{event.name}"


def _tell(event: TriggerEvent, reason: Reason) -> None:
    logger.info("no run is started", extra={"why_not": reason.text, "why": event.comment})
    if reason.is_told:
        publish(
            sns,
            topic_arn=os.environ["TOPIC_ARN"],
            subject=f"whippet: {_BY[event.trigger]} started no run",
            text=f"{event.comment}. It started no run: {reason.text}.\n\n"
            "Start one with `whippet run`, or in the console with the input {}, if you want one all the same.",
        )
