"""The cost of the run's machines, and of the endpoint as long as it exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import contract

from ..run_context import RunContext
from ..run_files import Missing
from ..sagemaker_jobs import NotStarted, described
from .machine_time import machine_times

__all__ = ["cost"]


def cost(run: RunContext) -> dict[str, Any]:
    """Return a row for each job, their sum, and the cost of the endpoint's machines for a month."""
    jobs = [_priced(time) for time in machine_times(run)]
    endpoint = _endpoint(run)
    if not jobs and endpoint is None:
        raise Missing("The run used no machine.")
    known = [job["usd"] for job in jobs if job["usd"] is not None]
    return {
        "jobs": jobs,
        "total": sum(known) if known else None,
        "unknown": sorted({job["instance_type"] for job in jobs if job["usd"] is None}),
        "endpoint": endpoint,
        "as_of": contract.PRICES_AS_OF,
        "region": contract.PRICES_REGION,
        "managed_rules": run.evaluator == "managed",
    }


def _priced(time: contract.MachineTime) -> dict[str, Any]:
    return {**asdict(time), "hourly": contract.hourly_price(time.instance_type), "usd": time.usd}


def _endpoint(run: RunContext) -> dict[str, Any] | None:
    """Return the machines of the endpoint configuration that this run released; None where it released none."""
    if not run.released_endpoint:
        return None

    config = f"{run.prefix}-{run.name}"
    try:
        answer: Mapping[str, Any] = described(
            lambda: run.sagemaker.describe_endpoint_config(EndpointConfigName=config), job=config
        )
    except NotStarted:
        return None

    # a serverless variant has no machines
    fleet = next(iter(contract.config_fleets(answer)), None)
    if fleet is None:
        return None
    usd = contract.fleet_usd_an_hour(fleet)
    return {
        **fleet,
        "hourly": contract.hourly_price(fleet["instance_type"]),
        "monthly": None if usd is None else usd * contract.HOURS_A_MONTH,
        "pause_after_hours": run.pause_after_hours,
    }
