"""The production variants of an endpoint as DescribeEndpoint answers them."""

from __future__ import annotations

from typing import Any

from local import clock
from local.sagemaker.endpoints.instance import Instance

__all__ = ["deployed_variant", "pending_variant"]


def pending_variant(instance: Instance, status: str = "Creating") -> dict[str, Any]:
    """Return a variant as PendingDeploymentSummary has it, before it is in service alone."""
    variant = {
        "VariantName": instance.variant["VariantName"],
        "DesiredWeight": instance.weight,
        "VariantStatus": [{"Status": status, "StartTime": clock.time()}],
    }
    if "ServerlessConfig" in instance.variant:
        return {**variant, "DesiredServerlessConfig": instance.variant["ServerlessConfig"]}
    return {
        **variant,
        "DesiredInstanceCount": instance.count,
        "InstanceType": instance.variant.get("InstanceType"),
    }


def deployed_variant(instance: Instance) -> dict[str, Any]:
    """Return a variant in service."""
    weight = instance.weight
    variant = {
        "VariantName": instance.variant["VariantName"],
        "DeployedImages": [
            {"SpecifiedImage": instance.image_uri, "ResolvedImage": instance.image_uri, "ResolutionTime": clock.time()}
        ],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
    }
    if "ServerlessConfig" in instance.variant:
        config = instance.variant["ServerlessConfig"]
        return {**variant, "CurrentServerlessConfig": config, "DesiredServerlessConfig": config}
    return {**variant, "CurrentInstanceCount": instance.count, "DesiredInstanceCount": instance.count}
