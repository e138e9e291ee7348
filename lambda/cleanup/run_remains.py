"""Deleting what the runs of an environment left in SageMaker, which is found by its prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from shared.aws_errors import is_being_changed, is_missing_resource
from shared.custom_resource import Deadline
from shared.listing import call_unless_gone, listed
from shared.patience import patiently

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["delete_endpoint", "delete_endpoint_configs", "delete_model_packages", "delete_models"]

logger = Logger(child=True)

_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""Statuses in which SageMaker refuses to delete an endpoint."""


def delete_endpoint(sagemaker: SageMakerClient, endpoint: str, deadline: Deadline) -> str | None:
    """Have the endpoint deleted where its status allows that, and return the status; None where there is no endpoint.

    One that is being created or updated cannot be deleted yet, and one that is being deleted is there for some time.
    """
    doing = f"deleting the endpoint {endpoint}"
    try:
        status: str = patiently(
            lambda: sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"], deadline=deadline, doing=doing
        )
        if status not in _CHANGING:
            patiently(lambda: sagemaker.delete_endpoint(EndpointName=endpoint), deadline=deadline, doing=doing)
    except ClientError as error:
        if is_missing_resource(error):
            return None
        # its status has changed since the look at it
        if not is_being_changed(error):
            raise
    return status


def delete_endpoint_configs(sagemaker: SageMakerClient, prefix: str, deadline: Deadline) -> None:
    """Delete the endpoint configurations; an endpoint must be gone before its own is ("DeleteEndpointConfig")."""
    pages = sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=prefix)
    configs = listed(pages, member="EndpointConfigs", name="EndpointConfigName", prefix=prefix, deadline=deadline)
    for name in configs:
        call_unless_gone(
            sagemaker.delete_endpoint_config, EndpointConfigName=name, deadline=deadline, doing=f"deleting {name}"
        )
    logger.info("endpoint configurations deleted", extra={"configs": configs})


def delete_models(sagemaker: SageMakerClient, prefix: str, deadline: Deadline) -> None:
    """Delete the models. An endpoint needs the entry no more once it runs."""
    pages = sagemaker.get_paginator("list_models").paginate(NameContains=prefix)
    models = listed(pages, member="Models", name="ModelName", prefix=prefix, deadline=deadline)
    for name in models:
        call_unless_gone(sagemaker.delete_model, ModelName=name, deadline=deadline, doing=f"deleting the model {name}")
    logger.info("models deleted", extra={"models": models})


def delete_model_packages(sagemaker: SageMakerClient, group: str, deadline: Deadline) -> None:
    """Delete the versions in a group of the model registry, since CloudFormation deletes only an empty group."""
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    try:
        packages = listed(pages, member="ModelPackageSummaryList", name="ModelPackageArn", deadline=deadline)
    except ClientError as error:
        if not is_missing_resource(error):
            raise
        packages = []
    for arn in packages:
        call_unless_gone(
            sagemaker.delete_model_package,
            ModelPackageName=arn,
            deadline=deadline,
            doing=f"deleting {len(packages)} model packages",
        )
    logger.info("model packages deleted", extra={"packages": packages})
