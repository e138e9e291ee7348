"""What a call needs of its caller besides its own action.

Sources: Application Auto Scaling user guide, "Permissions required for API actions on target services and CloudWatch";
SageMaker developer guide, "Delete endpoints configured for auto scaling".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from local.cloud.autoscaling.targets import DIMENSION, NAMESPACE, Targets

__all__ = ["CONTEXT", "Need", "needed", "needed_for_deletion"]

CONTEXT: Final = {
    "application-autoscaling:service-namespace": NAMESPACE,
    "application-autoscaling:scalable-dimension": DIMENSION,
}
"""The condition keys of a request, in lower case."""

_PRINCIPAL: Final = "sagemaker.application-autoscaling.amazonaws.com"
_ROLE: Final = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"


@dataclass(frozen=True)
class Need:
    """One action on one resource, with the condition keys of the request."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def needed(operation: str, parameters: Mapping[str, Any], targets: Targets) -> Iterator[Need]:
    """Yield the permissions of a call to Application Auto Scaling, its own action first."""
    resource = str(parameters.get("ResourceId", ""))
    arn, place = "*", f"{targets.region}:{targets.account_id}"
    if not operation.startswith("Describe"):
        arn = targets.arn(resource)
    yield Need(f"application-autoscaling:{operation}", arn, {} if arn == "*" else CONTEXT)

    # the endpoint, the alarms, and the service's own role
    endpoint = resource.split("/")[1] if resource.startswith("endpoint/") else ""
    alarm = f"arn:aws:cloudwatch:{place}:alarm:TargetTracking-{resource}-Alarm"
    if operation == "RegisterScalableTarget":
        of_endpoint = f"arn:aws:sagemaker:{place}:endpoint/{endpoint.lower()}"
        yield Need("sagemaker:DescribeEndpoint", of_endpoint)
        yield Need("sagemaker:UpdateEndpointWeightsAndCapacities", of_endpoint)
        yield Need(
            "iam:CreateServiceLinkedRole",
            f"arn:aws:iam::{targets.account_id}:role/aws-service-role/{_PRINCIPAL}/{_ROLE}",
            {"iam:awsservicename": _PRINCIPAL},
        )
    if operation == "PutScalingPolicy":
        for action in ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms"):
            yield Need(f"cloudwatch:{action}", alarm)
    if operation in ("DeregisterScalableTarget", "DeleteScalingPolicy"):
        yield Need("cloudwatch:DeleteAlarms", alarm)


def needed_for_deletion(endpoint: str, targets: Targets) -> Iterator[Need]:
    """Yield what DeleteEndpoint needs where variants of the endpoint scale."""
    for target in targets.of_endpoint(endpoint):
        yield Need("application-autoscaling:DeregisterScalableTarget", target.arn, CONTEXT)
