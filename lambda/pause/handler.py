"""Pause: deletes the endpoint when nobody has asked it for hours. Its configuration, model and package stay."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypedDict

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError
from shared.aws_errors import is_being_changed, is_missing_resource
from shared.patience import PATIENT
from shared.scaling import end_scaling
from shared.sleep_record import clear_stale_record, put_record, sleeping_config

import contract

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

__all__ = ["Decision", "ScheduledEvent", "handler"]

logger = Logger()
sagemaker = boto3.client("sagemaker", config=PATIENT)
states = boto3.client("stepfunctions", config=PATIENT)
cloudwatch = boto3.client("cloudwatch", config=PATIENT)
autoscaling = boto3.client("application-autoscaling", config=PATIENT)

_FINE_HOURS: Final = 24
_FINE_PERIOD: Final = 300
_COARSE_PERIOD: Final = 3600
"""Seconds that one datapoint covers: up to a day and beyond. GetMetricStatistics returns at most 1,440, and keeps
periods below an hour for 63 days; 720 hours make 720."""


_RUNNING: Final = "a run is going on, which may release a model"
_CHANGED: Final = "the endpoint has just been changed"


class ScheduledEvent(TypedDict):
    """EventBridge's event of a rule with a schedule, as far as it is read."""

    time: str


class Decision(TypedDict):
    """The answer, for the log and for who invokes the function by hand."""

    paused: bool
    why: str


@logger.inject_lambda_context
def handler(event: ScheduledEvent, context: LambdaContext) -> Decision:
    """Delete the endpoint if it has been idle for the hours of the setting, and say why or why not."""
    # EventBridge may deliver late; what has happened since counts, too
    now = max(datetime.now(UTC), datetime.fromisoformat(event["time"]))
    why_not = _why_not(now, timedelta(hours=int(os.environ["PAUSE_AFTER_HOURS"])))
    decision = Decision(paused=why_not is None, why=why_not or "nobody asked")
    logger.info("looked at the endpoint", extra={"decision": decision})
    return decision


def _why_not(now: datetime, idle: timedelta) -> str | None:
    """Pause the endpoint, or return why it is not paused."""
    endpoint = _describe(os.environ["ENDPOINT_NAME"])
    if endpoint is None:
        return "there is no endpoint"
    if endpoint["EndpointStatus"] == "Failed":
        return _make_way(endpoint)
    if endpoint["EndpointStatus"] != "InService":
        return f"the endpoint is {endpoint['EndpointStatus']}"
    if any("CurrentServerlessConfig" in variant for variant in endpoint["ProductionVariants"]):
        return "the endpoint is serverless until the next release, and sleeps by itself"
    clear_stale_record(os.environ["SLEEP_RECORD"], since=endpoint["LastModifiedTime"])
    _keep_scaling()

    # is it in use, or about to be?
    if now - endpoint["LastModifiedTime"] < idle:
        return "the endpoint was changed not long ago"
    if _is_running():
        return _RUNNING
    if requests := _requests(endpoint, since=now - idle, until=now):
        return f"requests in this time: {requests:.0f}"

    # First the record, without which nobody would know what to bring back.
    put_record(os.environ["SLEEP_RECORD"], contract.shadowed_config(endpoint["EndpointConfigName"]))
    return None if _delete(endpoint["EndpointName"]) else _CHANGED


def _keep_scaling() -> None:
    """Let an endpoint that has woken scale again; a run does so by itself.

    Whoever woke it, a request or a person, could not: SageMaker had yet to start it.
    """
    plan: contract.ScalingPlan | None = json.loads(os.environ["SCALING"] or "null")
    if plan is None:
        return
    try:
        if contract.registered_instances(autoscaling, endpoint=plan["endpoint"]) or _is_running():
            return
        contract.begin_scaling(autoscaling, plan)
    except ClientError:
        # an endpoint that does not scale still has to fall asleep
        logger.exception("the endpoint does not scale")
    else:
        logger.info("the endpoint scales again", extra={"plan": plan})


def _make_way(endpoint: DescribeEndpointOutputTypeDef) -> str:
    """Delete an endpoint that failed before a model that sleeps, which the next request can then wake; say what is.

    SageMaker may have had no machine for a moment. An endpoint that has failed costs nothing.
    """
    if sleeping_config(os.environ["SLEEP_RECORD"]) is None:
        return "the endpoint has failed, and no model sleeps"
    if _is_running():
        return _RUNNING
    logger.warning("the endpoint failed to start", extra={"reason": endpoint.get("FailureReason")})
    return "the endpoint had failed, and was deleted" if _delete(endpoint["EndpointName"]) else _CHANGED


def _is_running() -> bool:
    machine = os.environ["STATE_MACHINE_ARN"]
    return bool(states.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=1)["executions"])


def _delete(name: str) -> bool:
    """Have the endpoint deleted, and return whether nobody else changes it meanwhile."""
    try:
        sagemaker.delete_endpoint(EndpointName=name)
    except ClientError as error:
        if is_being_changed(error) or is_missing_resource(error):
            return False
        raise
    # where SageMaker has not done so with the deletion
    end_scaling(autoscaling, endpoint=name)
    return True


def _describe(name: str) -> DescribeEndpointOutputTypeDef | None:
    try:
        return sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_missing_resource(error):
            return None
        raise


def _requests(endpoint: DescribeEndpointOutputTypeDef, *, since: datetime, until: datetime) -> float:
    """Return how many requests the endpoint's variants got; CloudWatch has no datapoint of a time without one."""
    period = _FINE_PERIOD if until - since <= timedelta(hours=_FINE_HOURS) else _COARSE_PERIOD
    total = 0.0
    for variant in endpoint["ProductionVariants"]:
        answer = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="Invocations",
            Dimensions=[
                {"Name": "EndpointName", "Value": endpoint["EndpointName"]},
                {"Name": "VariantName", "Value": variant["VariantName"]},
            ],
            StartTime=since,
            EndTime=until,
            Period=period,
            Statistics=["Sum"],
        )
        total += sum(point["Sum"] for point in answer["Datapoints"])
    return total
