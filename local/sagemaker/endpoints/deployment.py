"""UpdateEndpoint's DeploymentConfig: read it, and hold it to SageMaker's rules.

The rules are those of the API reference (BlueGreenUpdatePolicy, TrafficRoutingConfig, CapacitySize) and of the
developer guide's pages on deployment guardrails ("Exclusions", "Auto-Rollback Configuration and Monitoring").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.sagemaker.endpoints.fleet import Fleet
from local.sagemaker.errors import validation

__all__ = ["AT_ONCE", "Rollout", "is_excluded", "rollout_of"]

_LARGEST_STEP: Final = 50
"""Percent of a variant's instances that a canary or a linear step may have at most."""

_SMALLEST_LINEAR_STEP: Final = 10
_SIZES: Final = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}


@dataclass(frozen=True)
class Rollout:
    """How an update shifts the requests to the new fleet.

    Attributes:
        shares: the new fleet's share of the requests after each step; the last is 1.
        wait: seconds to bake after each step.
        termination_wait: seconds after the last bake until the old fleet ends.
        longest: seconds after which an unfinished deployment is rolled back; None for no limit.
        alarms: names of the CloudWatch alarms that roll the update back.
    """

    shares: tuple[float, ...] = (1.0,)
    wait: float = 0.0
    termination_wait: float = 0.0
    longest: float | None = None
    alarms: tuple[str, ...] = ()


AT_ONCE: Final = Rollout()
"""What SageMaker does without a DeploymentConfig."""


def rollout_of(config: Mapping[str, Any] | None, fleet: Fleet) -> Rollout:
    """Return how a DeploymentConfig shifts the requests to a new fleet; None is an update without one.

    Raises:
        SageMakerError: ValidationException, because the configuration breaks one of SageMaker's rules, or has what is
            not played here.
    """
    if not config:
        return AT_ONCE
    if fleet.is_serverless:
        raise validation(
            "DeploymentConfig is not supported for serverless endpoints: deployment guardrails are for real-time and "
            "asynchronous inference."
        )
    if "RollingUpdatePolicy" in config:
        raise validation(
            "The local SageMaker does not play RollingUpdatePolicy; give BlueGreenUpdatePolicy, whose LINEAR routing "
            "shifts the requests alike."
        )

    policy = config.get("BlueGreenUpdatePolicy", {})
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0})
    rollout = Rollout(
        shares=_shares(routing, fleet),
        wait=routing["WaitIntervalInSeconds"],
        termination_wait=policy.get("TerminationWaitInSeconds", 0),
        longest=policy.get("MaximumExecutionTimeoutInSeconds"),
        alarms=tuple(alarm["AlarmName"] for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", [])),
    )
    waiting = rollout.wait * len(rollout.shares) + rollout.termination_wait
    if rollout.longest is not None and rollout.longest <= waiting:
        raise validation(
            f"MaximumExecutionTimeoutInSeconds is {rollout.longest:g}; it must be larger than the total waiting time "
            f"of WaitIntervalInSeconds and TerminationWaitInSeconds, which is {waiting:g}."
        )
    return rollout


def is_excluded(fleet: Fleet, before: Fleet) -> bool:
    """Return whether SageMaker falls back to all at once without a bake, whatever the DeploymentConfig says.

    It does so, without a word, where the variants' names change and for Inf1 instances.
    """
    types = [str(instance.variant.get("InstanceType", "")) for instance in fleet.instances]
    return fleet.variant_names != before.variant_names or any(name.startswith("ml.inf1.") for name in types)


def _shares(routing: Mapping[str, Any], fleet: Fleet) -> tuple[float, ...]:
    """Return the new fleet's share of the requests after each step."""
    kind = routing["Type"]
    for other, member in _SIZES.items():
        if member in routing and other != kind:
            raise validation(f"{member} cannot be given with the traffic routing type {kind}.")
    if kind == "ALL_AT_ONCE":
        return (1.0,)
    if _SIZES[kind] not in routing:
        raise validation(f"{_SIZES[kind]} must be given with the traffic routing type {kind}.")

    percent = _percent(routing[_SIZES[kind]], fleet)
    lowest = _SMALLEST_LINEAR_STEP if kind == "LINEAR" else 0
    if not lowest <= percent <= _LARGEST_STEP:
        between = f"between {lowest} and" if lowest else "less than or equal to"
        raise validation(
            f"{_SIZES[kind]} is {percent:g} percent of the variant's total instance count; it must be {between} "
            f"{_LARGEST_STEP} percent."
        )
    if kind == "CANARY":
        return (percent / 100, 1.0)
    steps = [step * percent / 100 for step in range(1, int(100 // percent) + 1)]
    return tuple(steps) if steps[-1] > 1 - 1e-9 else (*steps, 1.0)


def _percent(size: Mapping[str, Any], fleet: Fleet) -> float:
    if size["Type"] == "CAPACITY_PERCENT":
        return float(size["Value"])
    count = min(int(instance.variant.get("InitialInstanceCount", 1)) for instance in fleet.instances)
    return 100 * float(size["Value"]) / count
