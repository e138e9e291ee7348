"""Automatic scaling on the command line: what a change of the endpoint by hand does to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

import contract
from cli import CliError
from infra.outputs import StackOutput
from infra.scaling_plan import scaling_plan

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["may_scale_to", "retained_instances", "scale_again"]


def retained_instances(target: Target, *, old: str, new: str) -> dict[str, Any]:
    """Return the members of UpdateEndpoint's request that keep the instances of an endpoint that scales.

    Where the new configuration has another instance type, the scaling is ended first, since SageMaker refuses the
    update otherwise (developer guide, "Update endpoints that use auto scaling"); `scale_again` begins it anew.

    Args:
        target: Where the stack is deployed.
        old: The endpoint configuration in service.
        new: The one to come.
    """
    autoscaling, endpoint = target.client("application-autoscaling"), target.output(StackOutput.ENDPOINT_NAME)
    if not contract.registered_instances(autoscaling, endpoint=endpoint):
        return {}
    before, after = (_machines(target, name) for name in (old, new))
    if before != after:
        contract.end_scaling(autoscaling, endpoint=endpoint)
    return {**contract.retained_properties()} if before and after else {}


def scale_again(target: Target) -> str:
    """Let the endpoint in service scale as the settings say, and return what to say about it; empty without them.

    Raises:
        CliError: AWS refuses; the model serves all the same.
    """
    plan = scaling_plan(target.settings)
    if plan is None:
        return ""
    try:
        contract.begin_scaling(target.client("application-autoscaling"), plan)
    except ClientError as error:
        raise CliError(
            f"the model serves, and the endpoint does not scale: {error}. It keeps its instances until the next release"
        ) from None
    return f"it scales between {plan['min_instances']} and {plan['max_instances']} instances"


def may_scale_to(target: Target) -> int:
    """Return the most instances that the endpoint may scale to; 0 where it does not scale."""
    endpoint = target.output(StackOutput.ENDPOINT_NAME)
    return contract.registered_instances(target.client("application-autoscaling"), endpoint=endpoint)


def _machines(target: Target, config: str) -> str | None:
    """Return the instance type of a configuration; None for a serverless one."""
    described = target.client("sagemaker").describe_endpoint_config(EndpointConfigName=config)
    kind: str | None = described["ProductionVariants"][0].get("InstanceType")
    return kind
