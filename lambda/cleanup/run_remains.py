"""Stopping and deleting what the runs of an environment left, which is found by its prefix."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from shared.aws_errors import has_ended, is_missing_resource, is_missing_state_machine
from shared.custom_resource import Deadline

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions import SFNClient

__all__ = ["delete_endpoint", "delete_model_packages", "delete_models", "stop_executions", "stop_jobs"]

logger = Logger(child=True)
POLL_SECONDS = 5.0
"""Time between two looks at the endpoint."""

_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""Statuses in which SageMaker refuses to delete an endpoint."""


def stop_executions(states: SFNClient, state_machine: str) -> None:
    """Stop every running execution, so that nothing new is made while the rest is deleted."""
    try:
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=state_machine, statusFilter="RUNNING")
        running = [execution["executionArn"] for page in pages for execution in page["executions"]]
    except ClientError as error:
        if not is_missing_state_machine(error):
            raise
        return
    for arn in running:
        states.stop_execution(executionArn=arn, error="StackDestroyed", cause="The stack is being destroyed.")
    logger.info("executions stopped", extra={"count": len(running)})


def stop_jobs(sagemaker: SageMakerClient, prefix: str) -> None:
    """Stop the running jobs; tuning jobs first, since they would replace a stopped trial by the next."""
    _stop(
        "HyperParameterTuningJob",
        sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(
            NameContains=prefix, StatusEquals="InProgress"
        ),
        stop=sagemaker.stop_hyper_parameter_tuning_job,
        prefix=prefix,
    )
    _stop(
        "TrainingJob",
        sagemaker.get_paginator("list_training_jobs").paginate(NameContains=prefix, StatusEquals="InProgress"),
        stop=sagemaker.stop_training_job,
        prefix=prefix,
    )
    _stop(
        "ProcessingJob",
        sagemaker.get_paginator("list_processing_jobs").paginate(NameContains=prefix, StatusEquals="InProgress"),
        stop=sagemaker.stop_processing_job,
        prefix=prefix,
    )


def _stop(kind: str, pages: Iterable[Mapping[str, Any]], *, stop: Callable[..., object], prefix: str) -> None:
    names = _names(pages, member=f"{kind}Summaries", name=f"{kind}Name", prefix=prefix)
    for name in names:
        _unless_gone(stop, **{f"{kind}Name": name})
    logger.info("jobs stopped", extra={"kind": kind, "names": names})


def delete_endpoint(sagemaker: SageMakerClient, endpoint: str, deadline: Deadline) -> None:
    """Delete the endpoint, and wait until it is gone; one that is being created or updated cannot be deleted yet.

    Raises:
        OutOfTime: the function's time is over before the endpoint is gone.
    """
    while True:
        try:
            status = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"]
        except ClientError as error:
            if not is_missing_resource(error):
                raise
            logger.info("no endpoint", extra={"endpoint": endpoint})
            return
        if status not in _CHANGING:
            sagemaker.delete_endpoint(EndpointName=endpoint)
        deadline.check(f"waiting for the endpoint {endpoint}, which is {status}")
        time.sleep(POLL_SECONDS)


def delete_models(sagemaker: SageMakerClient, prefix: str) -> None:
    """Delete the endpoint configurations and the models."""
    config_pages = sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=prefix)
    configs = _names(config_pages, member="EndpointConfigs", name="EndpointConfigName", prefix=prefix)
    for name in configs:
        _unless_gone(sagemaker.delete_endpoint_config, EndpointConfigName=name)

    model_pages = sagemaker.get_paginator("list_models").paginate(NameContains=prefix)
    models = _names(model_pages, member="Models", name="ModelName", prefix=prefix)
    for name in models:
        _unless_gone(sagemaker.delete_model, ModelName=name)
    logger.info("models deleted", extra={"configs": configs, "models": models})


def delete_model_packages(sagemaker: SageMakerClient, group: str) -> None:
    """Delete the versions in a group of the model registry, since CloudFormation deletes only an empty group."""
    try:
        packages = [
            package["ModelPackageArn"]
            for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
            for package in page["ModelPackageSummaryList"]
        ]
    except ClientError as error:
        if not is_missing_resource(error):
            raise
        packages = []
    for arn in packages:
        _unless_gone(sagemaker.delete_model_package, ModelPackageName=arn)
    logger.info("model packages deleted", extra={"packages": packages})


def _names(pages: Iterable[Mapping[str, Any]], *, member: str, name: str, prefix: str) -> list[str]:
    """Return the names on the pages of a list that begin with the prefix; NameContains finds it anywhere."""
    return [item[name] for page in pages for item in page[member] if item[name].startswith(prefix)]


def _unless_gone(call: Callable[..., object], **names: str) -> None:
    """Stop or delete a resource, which may have ended or gone by itself meanwhile."""
    try:
        call(**names)
    except ClientError as error:
        if not (is_missing_resource(error) or has_ended(error)):
            raise
