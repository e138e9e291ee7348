"""ExplainRollout: says why SageMaker took a new model back during its rollout, by the alarms' history.

DescribeEndpoint's FailureReason has no documented wording for it, and an alarm may be over before anybody looks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.patience import PATIENT

import contract

__all__ = ["handler"]

logger = Logger()
cloudwatch = boto3.client("cloudwatch", config=PATIENT)

_LAST_CHANGES = 50
"""Changes of an alarm's state that are looked through, the newest first; a rollout ends with the first ALARM."""


@logger.inject_lambda_context
def handler(event: contract.ExplainRolloutInput, context: LambdaContext) -> contract.RolloutEnd:
    """Return the error with which the run fails: RolloutRolledBack where an alarm took the model back."""
    begun = datetime.fromisoformat(event["begun"]).replace(microsecond=0)  # the history has whole seconds
    tripped = {}
    for name in filter(None, os.environ["ALARMS"].split(",")):
        reason = _why_on(name, begun)
        if reason is not None:
            tripped[name] = reason

    endpoint = event["endpoint"]
    told = endpoint.get("FailureReason", "")
    if tripped:
        alarms = " and ".join(tripped)
        reasons = " ".join(f"{name}: {reason}" for name, reason in tripped.items())
        cause = (
            f"SageMaker took the new model back, since the alarm {alarms} went off. {reasons} The model before serves "
            "all requests again."
        )
        logger.info("rolled back by alarms", extra={"alarms": list(tripped), "failure_reason": told})
        return contract.RolloutEnd(error="RolloutRolledBack", cause=cause)
    logger.info("rolled back without an alarm", extra={"failure_reason": told})
    cause = told or f"SageMaker rolled the update back, and gave no reason; it serves {endpoint['EndpointConfigName']}."
    return contract.RolloutEnd(error="RolloutFailed", cause=cause)


def _why_on(alarm: str, begun: datetime) -> str | None:
    """Return why the alarm was in ALARM at some time since the rollout began; None if it was not."""
    changes = cloudwatch.describe_alarm_history(
        AlarmName=alarm, HistoryItemType="StateUpdate", ScanBy="TimestampDescending", MaxRecords=_LAST_CHANGES
    )["AlarmHistoryItems"]
    for change in changes:
        state, reason = _state(change)
        if state == "ALARM":
            return reason
        if change["Timestamp"] < begun:
            return None
    return None


def _state(change: Mapping[str, Any]) -> tuple[str, str]:
    """Return the state that the alarm changed to, and CloudWatch's reason."""
    state = json.loads(change["HistoryData"])["newState"]
    return str(state["stateValue"]), str(state.get("stateReason", ""))
