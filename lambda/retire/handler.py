"""Retire: deletes the models and endpoint configurations that are older than the previous release."""

from __future__ import annotations

import os
from collections.abc import Callable

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_resource
from shared.patience import PATIENT
from shared.sleep_record import sleeping_config

import contract

__all__ = ["handler"]

logger = Logger()
sagemaker = boto3.client("sagemaker", config=PATIENT)


@logger.inject_lambda_context
def handler(event: contract.RetireInput, context: LambdaContext) -> contract.RetiredModels:
    """Delete what is older than the configuration that was in service, or slept, before this run's; return the names.

    The current and the previous one stay, and so does everything younger than the previous one, which may belong to a
    run in progress. A batch's model stays, too, which `whippet classify` deletes when the batch has ended. Without a
    previous configuration nothing is deleted.
    """
    # where there was no endpoint before the release, a model may have slept
    previous = event["previous"] or sleeping_config(os.environ["SLEEP_RECORD"])
    prefix, kept = f"{os.environ['NAME_PREFIX']}-", {event["current"], previous}

    # list what carries this environment's prefix, which NameContains finds anywhere in a name
    configs = {
        item["EndpointConfigName"]: item["CreationTime"]
        for page in sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=prefix)
        for item in page["EndpointConfigs"]
        if item["EndpointConfigName"].startswith(prefix)
    }
    models = {
        item["ModelName"]: item["CreationTime"]
        for page in sagemaker.get_paginator("list_models").paginate(NameContains=prefix)
        for item in page["Models"]
        if item["ModelName"].startswith(prefix)
        and not contract.is_batch_name(item["ModelName"], prefix=os.environ["NAME_PREFIX"])
    }

    # choose what is older than the previous configuration
    limit = configs.get(previous) if previous else None
    if limit is None:
        return contract.RetiredModels(configs=[], models=[])
    old_configs = [name for name, created in configs.items() if created < limit and name not in kept]
    # A model is made just before its configuration, so that the previous one is older than the limit: keep it by name.
    old_models = [name for name, created in models.items() if created < limit and name not in kept]

    # delete it
    for name in old_configs:
        _delete(sagemaker.delete_endpoint_config, EndpointConfigName=name)
    for name in old_models:
        _delete(sagemaker.delete_model, ModelName=name)
    logger.info("retired", extra={"configs": old_configs, "models": old_models})
    return contract.RetiredModels(configs=old_configs, models=old_models)


def _delete(call: Callable[..., object], **names: str) -> None:
    """Delete a resource; another run may have deleted it already."""
    try:
        call(**names)
    except ClientError as error:
        if not is_missing_resource(error):
            raise
