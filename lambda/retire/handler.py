"""Retire: deletes the models and endpoint configurations that are older than the last releases."""

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

from .earlier_releases import earlier_configs

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3", config=PATIENT)
sagemaker = boto3.client("sagemaker", config=PATIENT)


@logger.inject_lambda_context
def handler(event: contract.RetireInput, context: LambdaContext) -> contract.RetiredModels:
    """Delete what is older than the oldest release that is kept to fall back to; return the names.

    Kept are the current one, the one that was in service, or slept, before it, the last ones by the records of
    releases, and everything younger than the oldest of these, which may belong to a run in progress. A batch's model
    stays, too, which `whippet classify` deletes when the batch has ended. Without an earlier release nothing is
    deleted.
    """
    # where there was no endpoint before the release, a model may have slept
    previous = event["previous"] or sleeping_config(os.environ["SLEEP_RECORD"])
    earlier = set(
        earlier_configs(
            s3,
            bucket=os.environ["BUCKET"],
            prefix=os.environ["NAME_PREFIX"],
            current=event["current"],
            kept=int(os.environ["RELEASES_KEPT"]),
        )
    )
    if previous:
        earlier.add(previous)
    prefix, kept = f"{os.environ['NAME_PREFIX']}-", {event["current"], *earlier}

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

    # choose what is older than the oldest configuration that is kept
    limit = min((configs[name] for name in earlier if name in configs), default=None)
    if limit is None:
        return contract.RetiredModels(configs=[], models=[])
    old_configs = [name for name, created in configs.items() if created < limit and name not in kept]
    # A model is made just before its configuration, so that the oldest kept is older than the limit: keep it by name.
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
