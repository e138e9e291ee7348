"""The model that the endpoint serves now, and what its run left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_resource
from shared.s3_objects import read_if_present

from contract import Artefact, Decision, result_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["ModelInService", "find_model_in_service"]


@dataclass(frozen=True)
class ModelInService:
    """The endpoint configuration in service, and the decision and predictions of its run, where they exist."""

    config: str
    run: str
    decision: Decision | None
    predictions: bytes | None


def find_model_in_service(
    s3: S3Client, sagemaker: SageMakerClient, *, bucket: str, endpoint: str, name_prefix: str
) -> ModelInService | None:
    """Return the model behind the endpoint, or None where there is no endpoint that works."""
    try:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if is_missing_resource(error):
            return None
        raise
    if described["EndpointStatus"] == "Failed":
        return None

    config = described["EndpointConfigName"]
    run = config.removeprefix(f"{name_prefix}-")
    decision = read_if_present(s3, bucket=bucket, key=f"runs/{run}/{Artefact.DECISION}")
    return ModelInService(
        config=config,
        run=run,
        decision=json.loads(decision) if decision is not None else None,
        predictions=read_if_present(s3, bucket=bucket, key=result_key(run, Artefact.PREDICTIONS)),
    )
