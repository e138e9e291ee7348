"""Which endpoint configuration is in service, or sleeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

import contract

from .aws_errors import is_missing_resource
from .sleep_record import sleeping_config

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["config_in_service"]


def config_in_service(sagemaker: SageMakerClient, *, endpoint: str, sleep_record: str) -> str | None:
    """Return the name of the endpoint's configuration, or of the one that sleeps; None where there is neither.

    A run's configuration is named `contract.job_prefix` of the environment and the run.
    """
    try:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if is_missing_resource(error):
            return sleeping_config(sleep_record)
        raise
    if contract.has_model(described["EndpointStatus"]):
        return described["EndpointConfigName"]
    return sleeping_config(sleep_record)
