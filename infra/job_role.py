"""What the jobs of a run may do: one role for the features, tuning, training and rules jobs."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

import contract
from infra.acknowledged import acknowledge_wildcards
from infra.dataset import Dataset
from infra.encryption import Encryption
from infra.images import DebuggerImage, TrainingImage
from infra.names import Names
from infra.network import join_vpc
from infra.permissions import ASSETS, LOG_STREAMS, NO_RESOURCES, OBJECTS, Permission
from infra.settings import SecuritySettings
from infra.source_bundle import SourceBundle

__all__ = [
    "TrainingRole",
    "pull_image",
    "read_objects",
    "sagemaker_role",
    "service_of_this_account",
    "write_logs_and_metrics",
]


def read_objects(dataset: Dataset, key_patterns: Sequence[str]) -> list[Permission]:
    """Return the permissions to read these objects and to list their prefixes, as SageMaker does to fill a channel."""
    return [
        Permission(
            actions=["s3:GetObject"],
            resources=[dataset.arn(pattern) for pattern in key_patterns],
            reason=OBJECTS,
        ),
        Permission(
            actions=["s3:ListBucket"],
            resources=[dataset.bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": list(key_patterns)}},
        ),
    ]


def pull_image(repository_arn: str | None) -> list[Permission]:
    """Return the permissions to log in to ECR and to pull from this repository; None is a registry outside of ECR."""
    login = Permission(actions=["ecr:GetAuthorizationToken"], resources=["*"], reason=NO_RESOURCES)
    if repository_arn is None:
        return [login]
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return [Permission(actions=pull, resources=[repository_arn]), login]


def write_logs_and_metrics(
    log_groups: Sequence[str], *, namespaces: Sequence[str], create_groups: bool = True
) -> list[Permission]:
    """Return the permissions to write to these log groups and to CloudWatch metrics of these namespaces.

    Without `create_groups`, a group that the stack has deleted cannot come back by a late log line.
    """
    create = ["logs:CreateLogGroup"] if create_groups else []
    return [
        Permission(
            actions=[*create, "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            resources=[arn for log_group in log_groups for arn in Names.log_group_arns(log_group)],
            reason=LOG_STREAMS,
        ),
        # PutMetricData has no resources; the condition restricts it to SageMaker's namespaces.
        Permission(
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            reason=NO_RESOURCES,
            conditions={"StringEquals": {"cloudwatch:namespace": list(namespaces)}},
        ),
    ]


def service_of_this_account(service: str) -> iam.ServicePrincipal:
    """Return the principal that a role trusts: a service, where it acts for this account (confused deputy problem)."""
    return iam.ServicePrincipal(service, conditions={"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}})


def sagemaker_role(scope: Construct, permissions: Sequence[Permission]) -> iam.Role:
    """Make a role for SageMaker with these permissions, and those that KMS asks for beside them."""
    permissions = [*permissions, *Encryption.implied(scope, permissions)]
    role = iam.Role(scope, "Role", assumed_by=service_of_this_account("sagemaker.amazonaws.com"))
    statements = [permission.statement() for permission in permissions]
    policy = iam.Policy(scope, "Policy", statements=statements, roles=[role])
    acknowledge_wildcards(policy, permissions)
    return role


class TrainingRole(Construct):
    """Role of the jobs: they read their channels and code, and write features and the results of runs."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dataset: Dataset,
        sources: SourceBundle,
        image: TrainingImage,
        debugger_image: DebuggerImage | None,
        further_inputs: Sequence[str],
        security: SecuritySettings,
    ) -> None:
        super().__init__(scope, construct_id)
        # A run may name any prefix of a bucket that the stack owns; of an existing bucket only the setting's.
        own = [f"{prefix}*" for prefix in contract.JOBS_PREFIXES]
        readable = ["*"] if dataset.owned else [f"{dataset.prefix}*", *own]
        if not dataset.owned:
            readable += further_inputs

        job_logs = ["/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"]
        permissions = [
            *read_objects(dataset, readable),
            Permission(
                actions=["s3:PutObject", "s3:AbortMultipartUpload"],
                resources=[dataset.arn(pattern) for pattern in own],
                reason=OBJECTS,
            ),
            # SageMaker deletes in S3 what a job deletes among its checkpoints, as this role.
            Permission(
                actions=["s3:DeleteObject"],
                resources=[dataset.arn(f"{contract.CHECKPOINTS_PREFIX}*")],
                reason=OBJECTS,
            ),
            Permission(actions=["s3:GetBucketLocation"], resources=[dataset.bucket.bucket_arn]),
            *_read_code(sources, channels=security.isolate_training),
            # A job's log groups and metric namespaces have the same names; the service fixes both.
            *write_logs_and_metrics(job_logs, namespaces=job_logs),
            *pull_image(image.repository_arn),
            *Encryption.of_jobs(self),
            *join_vpc(security),
        ]
        if debugger_image is not None:
            # SageMaker evaluates its rules in processing jobs of this account, under the role of the training.
            permissions += pull_image(debugger_image.repository_arn)[:1]
        self.role = sagemaker_role(self, permissions)
        # The token of a question is for people: whoever trains a model must not be able to approve it.
        self.role.add_to_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=["s3:GetObject"],
                resources=[dataset.arn(f"{contract.APPROVALS_PREFIX}*")],
            )
        )


def _read_code(sources: SourceBundle, *, channels: bool) -> list[Permission]:
    """Return the permissions to read the code of every deployment; `channels`: also that of trainings is a channel.

    A run keeps the definition that it was started with, and so the code's key of that deployment, while a later one is
    deployed.
    """
    bucket = sources.bare.bucket.bucket_arn
    return [
        Permission(actions=["s3:GetObject"], resources=[f"{bucket}/*"], reason=ASSETS),
        # A processing job lists its program's key as a prefix, and so does a channel; the toolkit gets a training job's
        # code by its key.
        Permission(
            actions=["s3:ListBucket"],
            resources=[bucket],
            conditions={"StringLike": {"s3:prefix": ["*.zip", *(["*.gz"] if channels else [])]}},
        ),
    ]
