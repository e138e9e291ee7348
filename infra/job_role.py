"""What a training job and the endpoint may do."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.dataset import Dataset
from infra.images import TrainingImage
from infra.names import Names
from infra.source_bundle import SourceBundle

__all__ = ["EndpointRole", "TrainingRole", "read_objects"]

_REGISTRY_LOGIN = "ecr:GetAuthorizationToken"
_PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


def read_objects(dataset: Dataset, key_patterns: Sequence[str]) -> list[iam.PolicyStatement]:
    """Read these objects, and list their prefixes: what SageMaker does to fill a channel."""
    return [
        iam.PolicyStatement(actions=["s3:GetObject"], resources=[dataset.arn(pattern) for pattern in key_patterns]),
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[dataset.bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": list(key_patterns)}},
        ),
    ]


class TrainingRole(Construct):
    """For the features, tuning, training and rules' jobs: read their channels and code, write features and runs."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dataset: Dataset,
        sources: SourceBundle,
        image: TrainingImage,
        weights: str | None,
    ) -> None:
        super().__init__(scope, construct_id)
        readable = ["*"] if dataset.owned else [f"{dataset.prefix}*", "runs/*", "features/*"]
        if weights and not dataset.owned:
            readable.append(weights)
        asset_bucket = sources.bare.bucket
        statements = [
            *read_objects(dataset, readable),
            iam.PolicyStatement(
                actions=["s3:PutObject", "s3:AbortMultipartUpload"],
                resources=[dataset.arn("features/*"), dataset.arn("runs/*")],
            ),
            iam.PolicyStatement(actions=["s3:GetBucketLocation"], resources=[dataset.bucket.bucket_arn]),
            iam.PolicyStatement(
                actions=["s3:GetObject"],
                resources=[f"{asset_bucket.bucket_arn}/{asset.s3_object_key}" for asset in sources.all],
            ),
            # A processing job lists the prefix that its code's key is; the toolkit fetches a training job's by the key.
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[asset_bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [sources.rules.s3_object_key]}},
            ),
            _write_logs(Names.job_log_groups()),
            _metrics("/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"),
            iam.PolicyStatement(actions=_PULL, resources=[image.repository_arn]),
            iam.PolicyStatement(actions=[_REGISTRY_LOGIN], resources=["*"]),
        ]
        self.role = _sagemaker_role(self, statements)


class EndpointRole(Construct):
    """For the endpoint: read the model, pull its image, write its own log."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dataset: Dataset,
        names: Names,
        repository_arn: str | None,
    ) -> None:
        super().__init__(scope, construct_id)
        log_group = (
            f"arn:{cdk.Aws.PARTITION}:logs:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:log-group:{names.endpoint_log_group}"
        )
        statements = [
            *read_objects(dataset, ["runs/*"]),
            _write_logs([log_group, f"{log_group}:log-stream:*"]),
            _metrics("/aws/sagemaker/Endpoints"),
            iam.PolicyStatement(actions=[_REGISTRY_LOGIN], resources=["*"]),
        ]
        if repository_arn:
            statements.append(iam.PolicyStatement(actions=_PULL, resources=[repository_arn]))
        self.role = _sagemaker_role(self, statements)


def _sagemaker_role(scope: Construct, statements: Sequence[iam.PolicyStatement]) -> iam.Role:
    role = iam.Role(scope, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
    iam.Policy(scope, "Policy", statements=list(statements), roles=[role])
    return role


def _write_logs(log_groups: Sequence[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        resources=list(log_groups),
    )


def _metrics(*namespaces: str) -> iam.PolicyStatement:
    """PutMetricData has no resources; the condition narrows it to SageMaker's namespaces."""
    return iam.PolicyStatement(
        actions=["cloudwatch:PutMetricData"],
        resources=["*"],
        conditions={"StringEquals": {"cloudwatch:namespace": list(namespaces)}},
    )
