"""What the roles may do with KMS keys, in one place: it follows from what else they may do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

from infra.permissions import Permission

__all__ = ["Encryption"]

_ATTRIBUTE: Final = "whippet_encryption"

_READ: Final = frozenset(("s3:GetObject", "s3:GetObjectVersion"))
_WRITE: Final = frozenset(("s3:PutObject",))
_START_ENDPOINT: Final = frozenset(("sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"))

_FOR_AWS: Final[dict[str, Any]] = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
"""A grant is made by a service for a disk of its own, not handed to anybody ("kms:GrantIsForAWSResource")."""


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """The keys of a stack. Every role's permissions on them come from here."""

    key_arn: str | None
    """The customer's key; None for the keys of AWS."""
    objects_key_arn: str | None
    """The key of the objects of the data bucket: an existing bucket's own, or the customer's."""
    bucket_arn: str
    volumes: bool
    """Whether any job's machine has a disk that SageMaker encrypts with a key (infra/instances.py)."""
    endpoint_volume: bool
    """Whether the endpoint's machines have such a disk; a serverless endpoint has no machine."""

    def attach(self, stack: cdk.Stack) -> None:
        """Encrypt the log groups and functions of the stack, those that come later too, and let `of` find this."""
        setattr(stack, _ATTRIBUTE, self)
        if self.key_arn is not None:
            cdk.Aspects.of(stack).add(_Encrypt(self.key_arn))

    @staticmethod
    def implied(scope: Construct, permissions: Sequence[Permission]) -> list[Permission]:
        """Return what KMS asks of a role that has these permissions in the stack of `scope`.

        A stack that has no keys, such as one of a test, asks nothing.
        """
        found = getattr(cdk.Stack.of(scope), _ATTRIBUTE, None)
        return list(found._implied(permissions)) if isinstance(found, Encryption) else []

    @staticmethod
    def of_jobs(scope: Construct) -> list[Permission]:
        """Return what SageMaker asks of a job's role beyond that: to encrypt the job's results and its disk.

        Source: "How to use SageMaker AI execution roles", CreateTrainingJob: kms:Encrypt for an output's key,
        kms:CreateGrant for a volume's.
        """
        found = getattr(cdk.Stack.of(scope), _ATTRIBUTE, None)
        if not isinstance(found, Encryption):
            return []
        permissions = []
        if found.objects_key_arn:
            permissions.append(Permission(actions=["kms:Encrypt"], resources=[found.objects_key_arn]))
        if found.key_arn and found.volumes:
            permissions.append(_grants(found.key_arn))
        return permissions

    def _implied(self, permissions: Sequence[Permission]) -> Iterator[Permission]:
        # objects of the data bucket: S3 asks KMS for whoever reads or writes one
        on_objects = {
            action
            for permission in permissions
            if any(resource.startswith(f"{self.bucket_arn}/") for resource in permission.resources)
            for action in permission.actions
        }
        actions = [
            *(["kms:Decrypt"] if _READ & on_objects else []),
            *(["kms:GenerateDataKey"] if _WRITE & on_objects else []),
        ]
        if self.objects_key_arn and actions:
            yield _via("s3", actions, self.objects_key_arn)
        if self.key_arn is None:
            return

        # messages: SNS asks for whoever publishes
        asked = {action for permission in permissions for action in permission.actions}
        if "sns:Publish" in asked:
            yield _via("sns", ["kms:Decrypt", "kms:GenerateDataKey"], self.key_arn)

        # the disks of the endpoint ("SageMaker AI API Permissions", CreateEndpoint)
        if _START_ENDPOINT & asked and self.endpoint_volume:
            yield _grants(self.key_arn)
        if "sagemaker:CreateEndpointConfig" in asked and self.endpoint_volume:
            yield Permission(actions=["kms:DescribeKey"], resources=[self.key_arn])


def _via(service: str, actions: Sequence[str], key_arn: str) -> Permission:
    """Allow the use of a key through a service alone ("kms:ViaService")."""
    host = f"{service}.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}"
    return Permission(actions=actions, resources=[key_arn], conditions={"StringEquals": {"kms:ViaService": host}})


def _grants(key_arn: str) -> Permission:
    return Permission(actions=["kms:CreateGrant"], resources=[key_arn], conditions=_FOR_AWS)


@jsii.implements(cdk.IAspect)
class _Encrypt:
    """Give the key to every log group and function of the stack.

    Lambda lets a function's role decrypt its variables by a grant of its own ("Securing Lambda environment variables").
    """

    def __init__(self, key_arn: str) -> None:
        self._key_arn = key_arn

    def visit(self, node: IConstruct) -> None:
        if isinstance(node, logs.CfnLogGroup):
            node.kms_key_id = self._key_arn
        elif isinstance(node, lambda_.CfnFunction):
            node.kms_key_arn = self._key_arn
