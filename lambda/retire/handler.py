"""Retire: deletes the models and endpoint configurations that nothing can fall back to any more."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

__all__ = ["handler"]

logger = Logger()
sagemaker = boto3.client("sagemaker")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[str]]:
    """Delete what is older than `event["previous"]`, the configuration that was in service before `event["current"]`.

    Current and previous stay, and so does everything younger than the previous: it may belong to a run in progress.
    Without a previous configuration nothing is deleted.
    """
    prefix, kept = f"{os.environ['NAME_PREFIX']}-", {event["current"], event["previous"]}
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
    }
    limit = configs.get(event["previous"])
    if limit is None:
        return {"configs": [], "models": []}
    old_configs = [name for name, created in configs.items() if created < limit and name not in kept]
    # A model is made just before its configuration, so the previous one's is older than the limit: keep it by name.
    old_models = [name for name, created in models.items() if created < limit and name not in kept]
    for name in old_configs:
        _delete(sagemaker.delete_endpoint_config, EndpointConfigName=name)
    for name in old_models:
        _delete(sagemaker.delete_model, ModelName=name)
    logger.info("retired", extra={"configs": old_configs, "models": old_models})
    return {"configs": old_configs, "models": old_models}


def _delete(call: Callable[..., object], **names: str) -> None:
    """Somebody else may have been quicker."""
    try:
        call(**names)
    except ClientError as error:
        if "Could not find" not in error.response["Error"].get("Message", ""):
            raise
