"""What a run costs before there is a bill: the one cost model of plans, of the ceiling and of the command line.

Amounts are US dollars by the table in contract/prices.py. The worst case takes every job at its time limit, in every
attempt that the state machine makes; the expected case takes rates that were measured, and says nothing where none was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypedDict

from contract.prices import hourly_price

__all__ = [
    "CHANGE_HOURS",
    "FORWARD_CPU_SECONDS",
    "FULL_MONTH_HOURS",
    "JOB_ATTEMPTS",
    "OVERHEAD_SECONDS",
    "START_SECONDS",
    "CostPlan",
    "Fleet",
    "JobPhase",
    "PlannedJob",
    "change_usd",
    "config_fleets",
    "config_usd_an_hour",
    "fleet_usd_an_hour",
    "machine_usd",
    "worst_seconds",
    "worst_usd",
]

JobPhase = Literal["features", "trials", "training", "rules"]

JOB_ATTEMPTS: Final = 6
"""How often the state machine makes a job at most, each time under another name (infra/workflow/job.py)."""

OVERHEAD_SECONDS: Final = 1800
"""What is billed of a job beyond its time limit: the images and photos that it fetches first, the 120 seconds that a
stopped one has (StoppingCondition), and the upload of its results. SageMaker limits only the second; this allows half
an hour."""

CHANGE_HOURS: Final = 4
"""How long a run may keep two fleets, the endpoint's old one and its new one: two hours for the change, and two for
taking it back (`PATIENCE` in infra/workflow/endpoint.py)."""

FULL_MONTH_HOURS: Final = 31 * 24

START_SECONDS: Final = 360
"""About what is billed of a job before its program has a first result: the launch, the image, the weights."""

FORWARD_CPU_SECONDS: Final = 0.15
"""Of one virtual CPU: a phone's photo decoded, and a ResNet50 at 224 pixels in float32; other photos and int8 take a
third."""


class PlannedJob(TypedDict):
    """A job that a run may make, or each trial of its tuning job."""

    phase: JobPhase
    instance_type: str
    instances: int
    max_seconds: int
    """SageMaker's limit, `MaxRuntimeInSeconds`."""


class Fleet(TypedDict):
    """The machines of a real-time endpoint; of one that scales, the most."""

    instance_type: str
    instances: int


class CostPlan(TypedDict):
    """The environment variable COST_PLAN of CheckDataset: what a run of these settings may cost."""

    ceiling: float
    """The setting budget.ceiling, in US dollars a month."""
    jobs: list[PlannedJob]
    fleet: Fleet | None
    """None where the endpoint is serverless."""
    shadow_minutes: int | None
    """How long a new model is a shadow before its rollout; None where it is none."""


def machine_usd(instance_type: str, *, seconds: float) -> float | None:
    """Return what so many seconds of one machine cost; None for a type whose price is not known."""
    hourly = hourly_price(instance_type)
    return None if hourly is None else hourly * seconds / 3600


def worst_seconds(job: PlannedJob, *, trials: int) -> float:
    """Return the machine seconds of one attempt of a job that takes as long as it may; for trials, of all of them."""
    jobs = trials if job["phase"] == "trials" else 1
    return float(jobs * job["instances"] * (job["max_seconds"] + OVERHEAD_SECONDS))


def worst_usd(job: PlannedJob, *, trials: int) -> float | None:
    """Return what a job costs at most, in all its attempts; None where the price is not known."""
    return machine_usd(job["instance_type"], seconds=JOB_ATTEMPTS * worst_seconds(job, trials=trials))


def fleet_usd_an_hour(fleet: Fleet | None) -> float | None:
    """Return what an endpoint's machines cost an hour: nothing for a serverless one, None for an unknown price."""
    if fleet is None:
        return 0.0
    hourly = hourly_price(fleet["instance_type"])
    return None if hourly is None else hourly * fleet["instances"]


def config_fleets(config: Mapping[str, Any], *, most: int = 0) -> list[Fleet]:
    """Return the machines of DescribeEndpointConfig's answer, shadow variants included; none for a serverless one.

    Args:
        config: The answer.
        most: Instances that automatic scaling may give each variant; 0 where it does not scale.
    """
    variants = [*config["ProductionVariants"], *config.get("ShadowProductionVariants", [])]
    return [
        Fleet(instance_type=each["InstanceType"], instances=max(most, each.get("InitialInstanceCount", 1)))
        for each in variants
        if each.get("InstanceType")
    ]


def config_usd_an_hour(config: Mapping[str, Any], *, most: int = 0) -> float | None:
    """Return what DescribeEndpointConfig's machines cost an hour, `most` of them; None for an unknown price."""
    prices = [fleet_usd_an_hour(fleet) for fleet in config_fleets(config, most=most)]
    known = [usd for usd in prices if usd is not None]
    return sum(known) if len(known) == len(prices) else None


def change_usd(*usd_an_hour: float, shadow_minutes: int | None = None) -> float:
    """Return what further fleets cost at most while an endpoint changes between fleets of these prices.

    A shadow comes and goes by a change each, two hours long at most (`PATIENCE` in infra/workflow/endpoint.py), in
    which it costs beside the second fleet.
    """
    shadow_hours = 0.0 if shadow_minutes is None else shadow_minutes / 60 + 2 * CHANGE_HOURS
    return (CHANGE_HOURS + shadow_hours) * max(usd_an_hour)
