"""Which endpoint configuration is in service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from .aws_errors import is_missing_resource

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["config_in_service"]


def config_in_service(sagemaker: SageMakerClient, *, endpoint: str) -> str | None:
    """Return the name of the endpoint's configuration, or None where there is no endpoint that works.

    A run's configuration is named `contract.job_prefix` of the environment and the run.
    """
    try:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if is_missing_resource(error):
            return None
        raise
    return None if described["EndpointStatus"] == "Failed" else described["EndpointConfigName"]
