"""The VPC of the jobs and the endpoint: what a role may do to join it."""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk

from infra.permissions import NO_RESOURCES, Permission
from infra.settings import SecuritySettings

__all__ = ["join_vpc"]

_INTERFACES: Final = "The ids of the network interfaces are not known at deployment; a condition names their subnets."
_SHARED: Final = "The settings name this subnet and group by their ids; a VPC may be shared by another account."


def join_vpc(settings: SecuritySettings) -> list[Permission]:
    """Return what SageMaker asks of a role to run in the VPC of the settings; nothing where they name none.

    Source: "How to use SageMaker AI execution roles", CreateTrainingJob, CreateProcessingJob and CreateModel, which
    lists these nine on all resources. They are restricted here to the settings' subnets and groups.
    """
    if not settings.in_vpc:
        return []
    ec2 = f"arn:{cdk.Aws.PARTITION}:ec2:{cdk.Aws.REGION}"
    subnets = [f"{ec2}:*:subnet/{subnet}" for subnet in settings.subnets]
    groups = [f"{ec2}:*:security-group/{group}" for group in settings.security_groups]
    interfaces = f"{ec2}:{cdk.Aws.ACCOUNT_ID}:network-interface/*"
    of_subnets: dict[str, Any] = {"ArnLike": {"ec2:Subnet": subnets}}
    return [
        Permission(actions=["ec2:CreateNetworkInterface"], resources=[*subnets, *groups], reason=_SHARED),
        Permission(
            actions=[
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            resources=[interfaces],
            conditions=of_subnets,
            reason=_INTERFACES,
        ),
        Permission(
            actions=[
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            resources=["*"],
            reason=NO_RESOURCES,
        ),
    ]
