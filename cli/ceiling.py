"""The setting budget.ceiling on the command line: what a batch, a wake-up or a rollback may come to cost this month."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.endpoint import describe_endpoint, sleeping_model
from cli.run import running
from cli.scaling import may_scale_to
from infra.cost import planned_jobs
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["claim_of", "hold", "keep_ceiling", "standing_config"]

_CHANGE: Final = (
    "Raise budget.ceiling with a deployment, or wait for the next month; `whippet cost` shows the month so far"
)


def claim_of(
    kind: Literal["run", "batch", "rollback", "wake"],
    name: str,
    *,
    worst_usd: float = 0.0,
    change_usd: float = 0.0,
    fleet_usd_an_hour: float = 0.0,
) -> contract.Claim:
    """Return a claim of now."""
    return contract.Claim(
        name=name,
        kind=kind,
        at=_now().isoformat(),
        worst_usd=worst_usd,
        change_usd=change_usd,
        fleet_usd_an_hour=fleet_usd_an_hour,
    )


def keep_ceiling(target: Target, claim: contract.Claim) -> None:
    """Claim what is about to start, where the settings have a ceiling.

    Raises:
        CliError: it could take the month above the ceiling.
    """
    if target.settings.budget.ceiling is None:
        return
    held = hold(target, claim)
    if held.refusal is not None:
        raise CliError(f"{held.refusal}. {_CHANGE}")


def hold(target: Target, claim: contract.Claim, *, only_look: bool = False) -> contract.HeldClaim:
    """Hold a claim against the month so far, with the endpoint that stands or sleeps; write it unless `only_look`."""
    config = standing_config(target)
    standing = contract.config_usd_an_hour(config, most=may_scale_to(target)) if config is not None else 0.0
    return contract.hold_claim(
        {**claim, "fleet_usd_an_hour": max(claim["fleet_usd_an_hour"], standing or 0.0)},
        ceiling=target.settings.budget.ceiling,
        s3=target.client("s3"),
        bucket=target.output(StackOutput.DATA_BUCKET),
        sagemaker=target.client("sagemaker"),
        running=lambda: running(target),
        prefix=target.settings.prefix,
        region=target.region,
        unclaimed_usd=sum(_worst_usd(job, target) for job in planned_jobs(target.settings)),
        only_look=only_look,
    )


def standing_config(target: Target) -> dict[str, Any] | None:
    """Return DescribeEndpointConfig's answer about what serves or sleeps; None where nothing does."""
    described = describe_endpoint(target)
    name = described["EndpointConfigName"] if described else None
    if described is None or not contract.has_model(described["EndpointStatus"]):
        sleeping = sleeping_model(target)
        name = sleeping.config if sleeping else None
    if name is None:
        return None
    try:
        config: dict[str, Any] = target.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)
    except ClientError as error:
        if "Could not find" in str(error):
            return None
        raise
    return config


def _worst_usd(job: contract.PlannedJob, target: Target) -> float:
    # a ceiling is refused with machines that have no price
    return contract.worst_usd(job, trials=target.settings.tuning.trials) or 0.0


def _now() -> datetime:
    return datetime.now(UTC)
