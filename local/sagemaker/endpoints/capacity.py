"""Weights and instance counts of an endpoint's variants: change them, or keep them through an update.

A variant is one process here, so that a count changes what DescribeEndpoint answers and what InvocationsPerInstance is
divided by, and not how much is answered. Source: API reference, "UpdateEndpointWeightsAndCapacities" and
"UpdateEndpoint".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from local.sagemaker.endpoints.fleet import Fleet
from local.sagemaker.endpoints.instance import Instance
from local.sagemaker.errors import validation

__all__ = ["check_capacities", "mark_desired", "resize", "retain"]

Wanted = Sequence[Mapping[str, Any]]
"""`DesiredWeightsAndCapacities` of the request."""


def check_capacities(wanted: Wanted, fleet: Fleet | None) -> None:
    """Check the request against the fleet in service.

    Raises:
        SageMakerError: ValidationException, because a variant does not exist, has no instances, or would have none.
    """
    known = {} if fleet is None else {each.variant["VariantName"]: each for each in fleet.instances}
    for each in wanted:
        name = each["VariantName"]
        if name not in known:
            raise validation(f"Variant {name} not found; the endpoint has {', '.join(sorted(known)) or 'none'}.")
        if "ServerlessUpdateConfig" in each:
            raise validation("The local SageMaker has no provisioned concurrency; leave ServerlessUpdateConfig out.")
        if "DesiredInstanceCount" in each:
            if "ServerlessConfig" in known[name].variant:
                raise validation(f"Variant {name} is serverless, and has no instances.")
            if each["DesiredInstanceCount"] < 1:
                raise validation(f"Variant {name}: DesiredInstanceCount must be at least 1.")


def mark_desired(variants: list[dict[str, Any]], wanted: Wanted) -> None:
    """Let DescribeEndpoint's variants say what is wanted, while the endpoint changes."""
    for each in wanted:
        for variant in variants:
            if variant["VariantName"] == each["VariantName"]:
                variant |= {key: each[key] for key in ("DesiredWeight", "DesiredInstanceCount") if key in each}


def resize(fleet: Fleet, wanted: Wanted) -> bool:
    """Give the variants their weights and counts, and return whether instances were added."""
    instances = {each.variant["VariantName"]: each for each in fleet.instances}
    added = False
    for each in wanted:
        instance = instances[each["VariantName"]]
        count = int(each.get("DesiredInstanceCount", instance.count))
        added = added or count > instance.count
        instance.count, instance.weight = count, float(each.get("DesiredWeight", instance.weight))
    return added


def retain(parameters: Mapping[str, Any], fleet: Fleet, before: Fleet | None) -> None:
    """Let the variants of a new fleet keep what those of the same name have, where UpdateEndpoint's request says so."""
    if not parameters.get("RetainAllVariantProperties") or before is None:
        return
    excluded = {each["VariantPropertyType"] for each in parameters.get("ExcludeRetainedVariantProperties", [])}
    old: dict[str, Instance] = {each.variant["VariantName"]: each for each in before.instances}
    for instance in fleet.instances:
        served = old.get(instance.variant["VariantName"])
        if served is None:
            continue
        machines = all("ServerlessConfig" not in each.variant for each in (instance, served))
        if machines and "DesiredInstanceCount" not in excluded:
            instance.count = served.count
        if "DesiredWeight" not in excluded:
            instance.weight = served.weight
