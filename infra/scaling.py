"""Automatic scaling of the endpoint: what the roles that begin and end it may do, and what their functions know of it.

A CloudFormation resource would be simpler and cannot be: AWS::ApplicationAutoScaling::ScalableTarget is registered when
the stack is deployed, and the endpoint is created by the first run, replaced by later ones, and deleted when it sleeps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import aws_cdk as cdk

import contract
from infra.names import Names
from infra.permissions import NO_RESOURCES, RUN_NAMES, Permission
from infra.scaling_plan import scaling_plan
from infra.settings import Settings

__all__ = ["Scaling"]

_PLACE: Final = f"{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}"
_PRINCIPAL: Final = "sagemaker.application-autoscaling.amazonaws.com"
_ROLE: Final = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"

_TARGET_IDS: Final = (
    "AWS chooses the id of a scalable target; the conditions restrict it to instance counts of SageMaker endpoints."
)
_ALARM_IDS: Final = "The names of a policy's two alarms begin with the endpoint's and end with an id that AWS chooses."


@dataclass(frozen=True)
class Scaling:
    """How the endpoint scales, and the permissions of who begins and ends it.

    Application Auto Scaling asks its caller for permissions on the endpoint and on the policy's alarms, too
    (Application Auto Scaling user guide, "Permissions required for API actions on target services and CloudWatch").
    """

    names: Names
    plan: contract.ScalingPlan | None
    """None where the number of instances stays."""

    @classmethod
    def of(cls, settings: Settings, names: Names) -> Scaling:
        """Return how the endpoint of an environment scales."""
        return cls(names, scaling_plan(settings))

    @property
    def variable(self) -> str:
        """The environment variable SCALING of functions; empty where the number of instances stays."""
        return "" if self.plan is None else json.dumps(self.plan)

    def begin(self) -> list[Permission]:
        """Return the permissions to let the endpoint scale; none where it does not."""
        if self.plan is None:
            return []
        arn = f"arn:{cdk.Aws.PARTITION}:iam::{cdk.Aws.ACCOUNT_ID}:role/aws-service-role/{_PRINCIPAL}/{_ROLE}"
        return [
            self._on_targets("RegisterScalableTarget", "PutScalingPolicy"),
            Permission(
                actions=["sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"],
                resources=[self.names.endpoint_arn],
            ),
            Permission(
                actions=["sagemaker:DescribeEndpointConfig"],
                resources=self.names.of_runs("endpoint-config"),
                reason=RUN_NAMES,
            ),
            self._on_alarms("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms"),
            # the role by which the service scales; it makes one for the account where there is none yet
            Permission(
                actions=["iam:CreateServiceLinkedRole"],
                resources=[arn],
                conditions={"StringEquals": {"iam:AWSServiceName": _PRINCIPAL}},
            ),
        ]

    def end(self) -> list[Permission]:
        """Return the permissions to end the scaling, also one that an earlier deployment's setting began.

        SageMaker ends it with an endpoint's deletion where the caller may (developer guide, "Delete endpoints
        configured for auto scaling").
        """
        return [self._on_targets("DeregisterScalableTarget"), self._on_alarms("DeleteAlarms")]

    @staticmethod
    def look() -> Permission:
        """Return the permission to ask whether and how far an endpoint scales."""
        return Permission(
            actions=["application-autoscaling:DescribeScalableTargets"], resources=["*"], reason=NO_RESOURCES
        )

    def _on_targets(self, *actions: str) -> Permission:
        names: dict[str, Any] = {
            "application-autoscaling:service-namespace": contract.SCALING_SERVICE,
            "application-autoscaling:scalable-dimension": contract.SCALING_DIMENSION,
        }
        return Permission(
            actions=[f"application-autoscaling:{action}" for action in actions],
            resources=[f"arn:{cdk.Aws.PARTITION}:application-autoscaling:{_PLACE}:scalable-target/*"],
            reason=_TARGET_IDS,
            conditions={"StringEquals": names},
        )

    def _on_alarms(self, *actions: str) -> Permission:
        target = contract.scalable_target(self.names.endpoint)["ResourceId"]
        return Permission(
            actions=[f"cloudwatch:{action}" for action in actions],
            resources=[Names.alarm_arn(f"TargetTracking-{target}-*")],
            reason=_ALARM_IDS,
        )
