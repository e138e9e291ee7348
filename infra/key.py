"""The customer's KMS key: one of the stack's own, with a policy for AWS's services, or an existing one."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.api import execution_log_group
from infra.names import Names
from infra.settings import SecuritySettings
from infra.settings.security import KEY_PENDING_DAYS

__all__ = ["build_key"]

_PUBLISHERS: Final = {
    "cloudwatch.amazonaws.com": "arn:{partition}:cloudwatch:{region}:{account}:alarm:*",
    "events.amazonaws.com": "arn:{partition}:events:{region}:{account}:rule/*",
    "budgets.amazonaws.com": "arn:{partition}:budgets::{account}:*",
}
"""Who publishes to the topic as itself and not as a role, and for what: alarms, rules and budgets.

Source: "Managing Amazon SNS encryption keys and costs", event sources from AWS services and confused deputies.
"""


def build_key(scope: Construct, *, settings: SecuritySettings, names: Names) -> kms.IKey | None:
    """Return the key of the settings; None for the keys of AWS.

    It is returned as one that is imported, so that no construct adds to its policy: what the roles may do with it
    stands with the roles (infra/encryption.py), and what AWS's services may is all here.
    """
    if settings.kms_key == "aws":
        return None
    arn = settings.kms_key if settings.kms_key != "create" else _create(scope, settings, names).key_arn
    return kms.Key.from_key_arn(scope, "CustomerKey", arn)


def _create(scope: Construct, settings: SecuritySettings, names: Names) -> kms.Key:
    keep = settings.key_at_destroy == "keep"
    return kms.Key(
        scope,
        "Key",
        alias=f"alias/{names.prefix}",
        description=names.key_description,
        enable_key_rotation=True,
        pending_window=cdk.Duration.days(KEY_PENDING_DAYS),
        # Without it nobody reads the photos that stay; a first deployment that fails leaves none, and schedules it.
        removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keep else cdk.RemovalPolicy.DESTROY,
        policy=iam.PolicyDocument(
            statements=[_account_decides(), _logs(cdk.Stack.of(scope), names), *map(_publisher, _PUBLISHERS)]
        ),
    )


def _account_decides() -> iam.PolicyStatement:
    """Let IAM policies of the account say who uses the key; without it nobody could, nor repair this policy.

    Source: "Default key policy" (KMS developer guide).
    """
    return iam.PolicyStatement(
        sid="IamPoliciesOfTheAccount",
        principals=[iam.AccountRootPrincipal()],
        actions=["kms:*"],
        resources=["*"],
    )


def _logs(stack: cdk.Stack, names: Names) -> iam.PolicyStatement:
    """Let CloudWatch Logs encrypt the stack's log groups and no other ("Encrypt log data using AWS KMS")."""
    groups = [
        names.endpoint_log_group,
        f"/aws/vendedlogs/states/{names.prefix}",
        f"{stack.stack_name}-*",
        execution_log_group("*"),
    ]
    return iam.PolicyStatement(
        sid="LogGroupsOfTheStack",
        principals=[iam.ServicePrincipal(f"logs.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}")],
        actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
        resources=["*"],
        conditions={
            "ArnLike": {"kms:EncryptionContext:aws:logs:arn": [Names.log_group_arns(group)[0] for group in groups]}
        },
    )


def _publisher(service: str) -> iam.PolicyStatement:
    """Let a service of AWS publish to the encrypted topic, for this account."""
    # Whether EventBridge tells KMS for whom it asks is not documented: a wrong account is refused, a missing one not.
    exists = "IfExists" if service == "events.amazonaws.com" else ""
    source = _PUBLISHERS[service].format(partition=cdk.Aws.PARTITION, region=cdk.Aws.REGION, account=cdk.Aws.ACCOUNT_ID)
    return iam.PolicyStatement(
        sid=f"Messages{service.partition('.')[0].capitalize()}",
        principals=[iam.ServicePrincipal(service)],
        actions=["kms:Decrypt", "kms:GenerateDataKey*"],
        resources=["*"],
        conditions={
            f"StringEquals{exists}": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID},
            f"ArnLike{exists}": {"aws:SourceArn": source},
        },
    )
