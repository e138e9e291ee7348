"""The setting budget.ceiling, held against what this run may cost and what the month has cost already."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_resource
from shared.in_service import standing_config

import contract

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions import SFNClient

__all__ = ["CeilingReached", "check_ceiling"]

_CHANGE: Final = (
    "Lower tuning.trials, tuning.max_minutes or training.max_minutes, choose smaller machines, raise budget.ceiling, "
    "or start again next month; `whippet cost` shows what a run may cost. The run has cost nothing"
)

logger = Logger(child=True)


class CeilingReached(ValueError):
    """The run could take the month above budget.ceiling; the message has every number and what to change."""


def check_ceiling(
    cost: contract.CostPlan,
    *,
    plan: contract.Plan,
    s3: S3Client,
    sagemaker: SageMakerClient,
    states: SFNClient,
    autoscaling: Any,
    bucket: str,
    name_prefix: str,
    endpoint: str,
    sleep_record: str,
    state_machine: str,
    started: str,
    region: str,
) -> None:
    """Claim what the run may cost at worst, and refuse it where the month could then pass the ceiling.

    Raises:
        CeilingReached: it could.
    """
    # the local cloud's clock may be ahead of this machine's
    now = max(datetime.now(UTC), datetime.fromisoformat(started))
    hourly = contract.fleet_usd_an_hour(cost["fleet"]) or 0.0
    standing = _standing_usd_an_hour(sagemaker, autoscaling, endpoint=endpoint, sleep_record=sleep_record)
    claim = contract.Claim(
        name=plan["run"],
        kind="run",
        at=now.isoformat(),
        worst_usd=_worst(cost, plan),
        change_usd=contract.change_usd(hourly, standing, shadow_minutes=cost["shadow_minutes"]),
        fleet_usd_an_hour=max(hourly, standing),
    )

    # claimed first and judged then, so that of two runs at once at most one begins
    held = contract.hold_claim(
        claim,
        ceiling=cost["ceiling"],
        s3=s3,
        bucket=bucket,
        sagemaker=sagemaker,
        running=lambda: _running(states, state_machine),
        prefix=name_prefix,
        region=region,
        unclaimed_usd=claim["worst_usd"],
    )
    logger.info("held against budget.ceiling", extra={"claim": claim, "month": held.month, "refusal": held.refusal})
    if held.refusal is not None:
        raise CeilingReached(f"{held.refusal}. {_CHANGE}")


def _worst(cost: contract.CostPlan, plan: contract.Plan) -> float:
    """Return what the jobs that this run makes cost at worst; the settings have no machine without a price."""
    ready = plan["features"]["ready"]
    amounts = [
        contract.worst_usd(job, trials=plan["tuning"]["trials"])
        for job in cost["jobs"]
        if not (ready and job["phase"] == "features")
    ]
    return sum(usd for usd in amounts if usd is not None)


def _standing_usd_an_hour(sagemaker: SageMakerClient, autoscaling: Any, *, endpoint: str, sleep_record: str) -> float:
    """Return what the endpoint's machines cost an hour at most, of one that sleeps, too; 0 where there is none."""
    config = standing_config(sagemaker, endpoint=endpoint, sleep_record=sleep_record)
    if config is None:
        return 0.0
    try:
        answer = sagemaker.describe_endpoint_config(EndpointConfigName=config)
    except ClientError as error:
        # somebody deleted what slept
        if is_missing_resource(error):
            return 0.0
        raise
    # how far it scales, whatever the settings say since
    most = contract.registered_instances(autoscaling, endpoint=endpoint)
    return contract.config_usd_an_hour(answer, most=most) or 0.0


def _running(states: SFNClient, state_machine: str) -> list[str]:
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=state_machine, statusFilter="RUNNING")
    return [contract.run_id(item["name"], started=item["startDate"]) for page in pages for item in page["executions"]]
