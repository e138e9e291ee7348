"""Stopping and deleting what runs left behind, by the prefix of its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from shared.custom_resource import Deadline

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions import SFNClient

__all__ = ["delete_endpoint", "delete_model_packages", "delete_models", "stop_executions", "stop_jobs"]

logger = Logger(child=True)
POLL_SECONDS = 5.0
_GONE = ("Could not find", "does not exist", "Requested resource not found")
_NOT_RUNNING = ("status", "Stopped", "Completed", "Failed")
"""In SageMaker's refusals to stop a job that has just ended."""


def stop_executions(states: SFNClient, state_machine: str) -> None:
    """Stop every running execution, so that nothing new is made while the rest is deleted."""
    try:
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=state_machine, statusFilter="RUNNING")
        running = [execution["executionArn"] for page in pages for execution in page["executions"]]
    except ClientError as error:
        if error.response["Error"].get("Code") != "StateMachineDoesNotExist":
            raise
        return
    for arn in running:
        states.stop_execution(executionArn=arn, error="StackDestroyed", cause="The stack is being destroyed.")
    logger.info("executions stopped", extra={"count": len(running)})


def stop_jobs(sagemaker: SageMakerClient, prefix: str) -> None:
    """Stop the tuning jobs first: a stopped trial would only be followed by the next."""
    tuning = _named(
        sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(
            NameContains=prefix, StatusEquals="InProgress"
        ),
        "HyperParameterTuningJobSummaries",
        "HyperParameterTuningJobName",
        prefix,
    )
    for name in tuning:
        _tolerating(sagemaker.stop_hyper_parameter_tuning_job, HyperParameterTuningJobName=name)
    training = _named(
        sagemaker.get_paginator("list_training_jobs").paginate(NameContains=prefix, StatusEquals="InProgress"),
        "TrainingJobSummaries",
        "TrainingJobName",
        prefix,
    )
    for name in training:
        _tolerating(sagemaker.stop_training_job, TrainingJobName=name)
    processing = _named(
        sagemaker.get_paginator("list_processing_jobs").paginate(NameContains=prefix, StatusEquals="InProgress"),
        "ProcessingJobSummaries",
        "ProcessingJobName",
        prefix,
    )
    for name in processing:
        _tolerating(sagemaker.stop_processing_job, ProcessingJobName=name)
    logger.info("jobs stopped", extra={"tuning": tuning, "training": training, "processing": processing})


def delete_endpoint(sagemaker: SageMakerClient, endpoint: str, deadline: Deadline) -> None:
    """Delete the endpoint, waiting where it is being created or updated, until it is gone."""
    while True:
        try:
            status = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"]
        except ClientError as error:
            if not _says(error, _GONE):
                raise
            logger.info("no endpoint", extra={"endpoint": endpoint})
            return
        if status not in ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"):
            sagemaker.delete_endpoint(EndpointName=endpoint)
        deadline.check(f"waiting for the endpoint {endpoint}, which is {status}")
        time.sleep(POLL_SECONDS)


def delete_models(sagemaker: SageMakerClient, prefix: str) -> None:
    """Delete the endpoint configurations and the models."""
    configs = _named(
        sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=prefix),
        "EndpointConfigs",
        "EndpointConfigName",
        prefix,
    )
    for name in configs:
        _tolerating(sagemaker.delete_endpoint_config, EndpointConfigName=name)
    models = _named(sagemaker.get_paginator("list_models").paginate(NameContains=prefix), "Models", "ModelName", prefix)
    for name in models:
        _tolerating(sagemaker.delete_model, ModelName=name)
    logger.info("models deleted", extra={"configs": configs, "models": models})


def delete_model_packages(sagemaker: SageMakerClient, group: str) -> None:
    """Delete the versions of a group of the model registry; CloudFormation deletes only a group that is empty."""
    try:
        packages = [
            package["ModelPackageArn"]
            for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
            for package in page["ModelPackageSummaryList"]
        ]
    except ClientError as error:
        if not _says(error, _GONE):
            raise
        packages = []
    for arn in packages:
        _tolerating(sagemaker.delete_model_package, ModelPackageName=arn)
    logger.info("model packages deleted", extra={"packages": packages})


def _named(pages: Iterable[Mapping[str, Any]], member: str, name: str, prefix: str) -> list[str]:
    """Names on the pages of a list that begin with the prefix; NameContains finds it anywhere."""
    return [item[name] for page in pages for item in page[member] if item[name].startswith(prefix)]


def _tolerating(call: Callable[..., object], **names: str) -> None:
    """What has just ended or gone by itself needs no stopping or deleting."""
    try:
        call(**names)
    except ClientError as error:
        if not _says(error, (*_GONE, *_NOT_RUNNING)):
            raise


def _says(error: ClientError, texts: tuple[str, ...]) -> bool:
    return any(text in error.response["Error"].get("Message", "") for text in texts)
