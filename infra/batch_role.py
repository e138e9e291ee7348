"""What a batch may do: the role of the model that classifies the photos of a folder or of an S3 prefix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aws_cdk as cdk
from constructs import Construct

import contract
from infra.dataset import Dataset
from infra.encryption import Encryption
from infra.job_role import pull_image, read_objects, sagemaker_role, write_logs_and_metrics
from infra.network import join_vpc
from infra.permissions import OBJECTS, Permission
from infra.settings import SecuritySettings

__all__ = ["BatchRole"]

_LOG_GROUP: Final = "/aws/sagemaker/TransformJobs"
"""Where SageMaker writes the logs of transform jobs; the service fixes the name of the group and of the metrics."""

_SOURCES: Final = "The setting batch.sources names this prefix; the keys below it are not known at deployment."


class BatchRole(Construct):
    """Role of transform jobs: they read the model and the photos, and write the answers.

    It is not the endpoint's: the endpoint need not read photos, nor write anything but its log.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dataset: Dataset,
        sources: Sequence[str],
        repository_arn: str | None,
        security: SecuritySettings,
    ) -> None:
        super().__init__(scope, construct_id)
        own = f"{contract.BATCHES_PREFIX}*"
        permissions = [
            *read_objects(dataset, [f"{contract.RUNS_PREFIX}*", f"{dataset.prefix}*", own]),
            Permission(actions=["s3:PutObject"], resources=[dataset.arn(own)], reason=OBJECTS),
            *(permission for source in sources for permission in _read_source(source)),
            *write_logs_and_metrics([_LOG_GROUP], namespaces=[_LOG_GROUP]),
            *pull_image(repository_arn),
            *Encryption.of_jobs(self),
            *join_vpc(security),
        ]
        self.role = sagemaker_role(self, permissions)


def _read_source(uri: str) -> list[Permission]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    arn = f"arn:{cdk.Aws.PARTITION}:s3:::{bucket}"
    return [
        Permission(actions=["s3:GetObject"], resources=[f"{arn}/{prefix}*"], reason=_SOURCES),
        Permission(
            actions=["s3:ListBucket"], resources=[arn], conditions={"StringLike": {"s3:prefix": [f"{prefix}*"]}}
        ),
    ]
