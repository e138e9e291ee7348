"""Automatic scaling of a real-time endpoint: the requests by which Application Auto Scaling begins and ends it.

The run's state machine makes them as states, and the functions and the command line with their own clients, all of
them on the one production variant of the endpoint.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict

__all__ = [
    "ENDPOINT_VARIANT",
    "SCALING_DIMENSION",
    "SCALING_SERVICE",
    "RetainedProperties",
    "ScalableRange",
    "ScalableTarget",
    "ScalingPlan",
    "ScalingPolicy",
    "begin_scaling",
    "end_scaling",
    "registered_instances",
    "retained_properties",
    "scalable_range",
    "scalable_target",
    "scaling_policy",
]

ENDPOINT_VARIANT: Final = "AllTraffic"
"""Name of the endpoint's only production variant; SageMaker guards an update only where it stays the same."""

SCALING_SERVICE: Final = "sagemaker"
SCALING_DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"

_POLICY: Final = "invocations-per-instance"


class ScalingPlan(TypedDict):
    """How far and by what an endpoint scales; the environment variable SCALING of functions, as JSON."""

    endpoint: str
    min_instances: int
    max_instances: int
    invocations: float
    """Requests a minute that one instance is meant to get."""
    in_cooldown: int
    """Seconds after instances were removed until more are."""
    out_cooldown: int
    """Seconds after instances were added until more are."""


class ScalableTarget(TypedDict):
    """What scales: the request of DeregisterScalableTarget, and a part of the others."""

    ServiceNamespace: Literal["sagemaker"]
    ResourceId: str
    ScalableDimension: Literal["sagemaker:variant:DesiredInstanceCount"]


class ScalableRange(ScalableTarget):
    """The request of RegisterScalableTarget; a second one updates the range."""

    MinCapacity: int
    MaxCapacity: int


class _Metric(TypedDict):
    PredefinedMetricType: Literal["SageMakerVariantInvocationsPerInstance"]


class _Tracking(TypedDict):
    TargetValue: float
    PredefinedMetricSpecification: _Metric
    ScaleInCooldown: int
    ScaleOutCooldown: int


class ScalingPolicy(ScalableTarget):
    """The request of PutScalingPolicy; a second one with the same name replaces the policy."""

    PolicyName: str
    PolicyType: Literal["TargetTrackingScaling"]
    TargetTrackingScalingPolicyConfiguration: _Tracking


class _VariantProperty(TypedDict):
    VariantPropertyType: Literal["DesiredWeight", "DataCaptureConfig"]


class RetainedProperties(TypedDict):
    """The members of UpdateEndpoint's request that keep the number of instances, and nothing else."""

    RetainAllVariantProperties: bool
    ExcludeRetainedVariantProperties: list[_VariantProperty]


def scalable_target(endpoint: str) -> ScalableTarget:
    """Return what scales: the variant of an endpoint."""
    return {
        "ServiceNamespace": SCALING_SERVICE,
        "ResourceId": f"endpoint/{endpoint}/variant/{ENDPOINT_VARIANT}",
        "ScalableDimension": SCALING_DIMENSION,
    }


def scalable_range(plan: ScalingPlan) -> ScalableRange:
    """Return the request that lets the endpoint scale; the number of instances is brought into the range at once."""
    return {
        **scalable_target(plan["endpoint"]),
        "MinCapacity": plan["min_instances"],
        "MaxCapacity": plan["max_instances"],
    }


def scaling_policy(plan: ScalingPlan) -> ScalingPolicy:
    """Return the request of the policy that follows the requests a minute of an instance."""
    return {
        **scalable_target(plan["endpoint"]),
        "PolicyName": _POLICY,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": plan["invocations"],
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleInCooldown": plan["in_cooldown"],
            "ScaleOutCooldown": plan["out_cooldown"],
        },
    }


def retained_properties() -> RetainedProperties:
    """Return what keeps the number of instances that scaling chose, where an update would reset it.

    Everything else is the new configuration's (API reference, "UpdateEndpoint"; developer guide, "Update endpoints that
    use auto scaling").
    """
    return {
        "RetainAllVariantProperties": True,
        "ExcludeRetainedVariantProperties": [
            {"VariantPropertyType": "DesiredWeight"},
            {"VariantPropertyType": "DataCaptureConfig"},
        ],
    }


def begin_scaling(autoscaling: Any, plan: ScalingPlan) -> None:
    """Let the endpoint scale; where it does already, its range and its policy are those of the plan from then on.

    Args:
        autoscaling: The caller's client of Application Auto Scaling.
        plan: How far and by what.
    """
    autoscaling.register_scalable_target(**scalable_range(plan))
    autoscaling.put_scaling_policy(**scaling_policy(plan))


def end_scaling(autoscaling: Any, *, endpoint: str) -> bool:
    """Let the endpoint scale no more, with its policy and its alarms, and return whether it did.

    SageMaker itself ends it where an endpoint is deleted by somebody who may, so that mostly there is none.

    Args:
        autoscaling: The caller's client of Application Auto Scaling.
        endpoint: The endpoint's name.
    """
    try:
        autoscaling.deregister_scalable_target(**scalable_target(endpoint))
    except autoscaling.exceptions.ObjectNotFoundException:
        return False
    return True


def registered_instances(autoscaling: Any, *, endpoint: str) -> int:
    """Return the most instances that the endpoint may scale to as it is registered; 0 where it does not scale.

    Args:
        autoscaling: The caller's client of Application Auto Scaling.
        endpoint: The endpoint's name.
    """
    target = scalable_target(endpoint)
    answer = autoscaling.describe_scalable_targets(
        ServiceNamespace=target["ServiceNamespace"],
        ResourceIds=[target["ResourceId"]],
        ScalableDimension=target["ScalableDimension"],
    )
    return max((int(found["MaxCapacity"]) for found in answer["ScalableTargets"]), default=0)
