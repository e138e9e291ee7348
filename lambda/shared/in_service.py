"""Which endpoint configuration is in service, or sleeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

import contract

from .aws_errors import is_missing_resource
from .sleep_record import sleeping_config

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["config_in_service", "standing_config"]


def config_in_service(sagemaker: SageMakerClient, *, endpoint: str, sleep_record: str) -> str | None:
    """Return the name of the configuration whose model answers, or of the one that sleeps; None where neither is.

    A run's configuration is named `contract.job_prefix` of the environment and the run. While another run's model is a
    shadow, the endpoint's own configuration has another name.
    """
    config = standing_config(sagemaker, endpoint=endpoint, sleep_record=sleep_record)
    return None if config is None else contract.shadowed_config(config)


def standing_config(sagemaker: SageMakerClient, *, endpoint: str, sleep_record: str) -> str | None:
    """Return the name of the endpoint's configuration, a shadow included, or of the one that sleeps; None for none."""
    try:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if is_missing_resource(error):
            return sleeping_config(sleep_record)
        raise
    if contract.has_model(described["EndpointStatus"]):
        return described["EndpointConfigName"]
    return sleeping_config(sleep_record)
