"""A batch's transform jobs: each goes on with the photos that the ones before it left without an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

import contract
from cli.aws_errors import was_asked_again
from infra.instances import has_local_storage
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from cli.model_in_service import ModelInService
    from cli.target import Target

__all__ = ["BatchJob", "BatchJobs"]

_RETRIES: Final = 3
"""How often SageMaker asks again about a photo that got no answer; the most it takes (ModelClientConfig)."""
_SECONDS: Final = 60
"""Within which a photo must be answered."""


@dataclass(frozen=True)
class BatchJob:
    """A transform job of the batch."""

    attempt: int
    status: str

    @property
    def is_running(self) -> bool:
        """Whether it may yet write answers."""
        return self.status in ("InProgress", "Stopping")


@dataclass(frozen=True)
class BatchJobs:
    """The transform jobs of one batch, and the model that they run."""

    target: Target
    batch: str

    @property
    def _sagemaker(self) -> Any:
        return self.target.client("sagemaker")

    @property
    def model_name(self) -> str:
        """The batch's model: that in service, with the batches' role and without a network."""
        return contract.batch_model_name(self.target.settings.prefix, self.batch)

    def name(self, attempt: int) -> str:
        """Return the name of an attempt's job."""
        return contract.batch_job_name(self.target.settings.prefix, self.batch, attempt)

    def listed(self) -> list[BatchJob]:
        """Return the batch's jobs, the newest first."""
        pages = self._sagemaker.get_paginator("list_transform_jobs").paginate(NameContains=self.model_name)
        found = [
            BatchJob(int(attempt[1]), item["TransformJobStatus"])
            for page in pages
            for item in page["TransformJobSummaries"]
            if (attempt := re.fullmatch(rf"{self.model_name}-(\d+)", item["TransformJobName"]))
        ]
        return sorted(found, key=lambda job: -job.attempt)

    def describe(self, attempt: int) -> dict[str, Any]:
        """Return the answer of DescribeTransformJob."""
        described: dict[str, Any] = self._sagemaker.describe_transform_job(TransformJobName=self.name(attempt))
        return described

    def start(self, attempt: int, *, model: ModelInService, manifest: str, answers: str, parameters: str) -> None:
        """Start an attempt.

        Args:
            attempt: from 1 on; a number that no job had.
            model: the model in service.
            manifest: URI of the list of its photos.
            answers: URI of the prefix of the answers.
            parameters: what is asked about every photo, as CustomAttributes.
        """
        self._make_model(model)
        settings = self.target.settings.batch
        try:
            self._sagemaker.create_transform_job(
                TransformJobName=self.name(attempt),
                ModelName=self.model_name,
                BatchStrategy="SingleRecord",
                MaxConcurrentTransforms=contract.BATCH_CONCURRENCY,
                MaxPayloadInMB=contract.BATCH_PAYLOAD_MB,
                ModelClientConfig={"InvocationsTimeoutInSeconds": _SECONDS, "InvocationsMaxRetries": _RETRIES},
                Environment={contract.ServingVariable.BATCH_PARAMETERS: parameters},
                TransformInput={
                    "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": manifest}},
                    "ContentType": "application/x-image",
                    "SplitType": "None",
                },
                TransformOutput={"S3OutputPath": answers.rstrip("/"), "Accept": "application/json", **self._written()},
                TransformResources={"InstanceType": settings.instance_type, "InstanceCount": 1, **self._disk()},
                Tags=contract.environment_tags(self.target.settings.env),
            )
        except ClientError as error:
            # the first attempt of this request has made it, and its answer got lost
            if error.response["Error"]["Code"] != "ResourceInUse" or not was_asked_again(error):
                raise

    def _written(self) -> dict[str, str]:
        """Return the key of the answers, which the bucket's own would not be."""
        key = self.target.settings.dataset.bucket_key or self.target.outputs.get(StackOutput.KMS_KEY_ARN)
        return {"KmsKeyId": key} if key else {}

    def _disk(self) -> dict[str, str]:
        """Return the key of the machine's disk, unless its own hardware encrypts it."""
        key = self.target.outputs.get(StackOutput.KMS_KEY_ARN)
        local = has_local_storage(self.target.settings.batch.instance_type)
        return {"VolumeKmsKeyId": key} if key and not local else {}

    def stop(self, attempt: int) -> None:
        """Have an attempt stopped; one that has just ended needs it no more."""
        try:
            self._sagemaker.stop_transform_job(TransformJobName=self.name(attempt))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise

    def delete_model(self) -> None:
        """Delete the batch's model, if there is one."""
        try:
            self._sagemaker.delete_model(ModelName=self.model_name)
        except ClientError as error:
            if "Could not find" not in str(error):
                raise

    def _make_model(self, model: ModelInService) -> None:
        # A container without a network has no credentials either: photos of strangers are decoded in it.
        security = self.target.settings.security
        network = {"VpcConfig": security.vpc_config} if security.in_vpc else {}
        try:
            self._sagemaker.create_model(
                ModelName=self.model_name,
                PrimaryContainer=model.container,
                ExecutionRoleArn=self.target.output(StackOutput.BATCH_ROLE_ARN),
                EnableNetworkIsolation=True,
                **network,
            )
        except ClientError as error:
            if "Cannot create already existing" not in str(error):
                raise
