"""LookAtAlarms: says whether an alarm is on before the rollout, because of the model in service.

SageMaker would take any new model back then, however good it is.
"""

from __future__ import annotations

import os
from typing import TypedDict

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.patience import PATIENT

import contract

__all__ = ["handler"]

logger = Logger()
cloudwatch = boto3.client("cloudwatch", config=PATIENT)

_SETTINGS = {
    contract.Alarm.ENDPOINT_ERRORS: "release.max_error_share",
    contract.Alarm.ENDPOINT_LATENCY: "release.max_latency_ms",
    contract.Alarm.ENDPOINT_UNKNOWN: "release.max_unknown_share",
}


class Empty(TypedDict):
    """The event: nothing."""


@logger.inject_lambda_context
def handler(event: Empty, context: LambdaContext) -> contract.AlarmsBefore:
    """Return whether an alarm of the rollout is on, and why."""
    names = os.environ["ALARMS"].split(",")
    found = cloudwatch.describe_alarms(AlarmNames=names, AlarmTypes=["MetricAlarm"], StateValue="ALARM")
    on = {alarm["AlarmName"]: alarm.get("StateReason", "") for alarm in found["MetricAlarms"]}
    if not on:
        return contract.AlarmsBefore(on=False, said="")

    limits = " ".join(
        f"-c {setting}="
        for alarm, setting in _SETTINGS.items()
        if contract.alarm_name(os.environ["NAME_PREFIX"], alarm) in on
    )
    why = " ".join(f"{name} is on: {reason}" for name, reason in on.items())
    logger.info("alarms are on", extra={"alarms": on})
    said = (
        f"{why} The model in service causes that, and SageMaker would take any new model back while it lasts. Put an "
        "earlier release back with `whippet rollback`; or let the new model in without this alarm: "
        f"`cdk deploy {limits}`, `whippet retry` of this run, and `cdk deploy` again."
    )
    return contract.AlarmsBefore(on=True, said=said)
