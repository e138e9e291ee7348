"""What is known of the model that the endpoint serves now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contract import Artefact, result_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["ModelInService", "find_model_in_service"]


@dataclass(frozen=True)
class ModelInService:
    """The configuration in service, and its run's decision and test predictions where they can be read."""

    config: str
    run: str
    decision: dict[str, Any] | None
    predictions: bytes | None


def find_model_in_service(
    s3: S3Client, sagemaker: SageMakerClient, *, bucket: str, endpoint: str, name_prefix: str
) -> ModelInService | None:
    """The model behind the endpoint, or None when there is no endpoint yet."""
    try:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if "Could not find" in error.response["Error"].get("Message", ""):
            return None
        raise
    if described["EndpointStatus"] == "Failed":
        return None
    config = described["EndpointConfigName"]
    run = config.removeprefix(f"{name_prefix}-")
    decision = _read(s3, bucket, f"runs/{run}/{Artefact.DECISION}")
    return ModelInService(
        config,
        run,
        json.loads(decision) if decision is not None else None,
        _read(s3, bucket, result_key(run, Artefact.PREDICTIONS)),
    )


def _read(s3: S3Client, bucket: str, key: str) -> bytes | None:
    """An object, or None where there is none."""
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
