"""The record of the configuration that sleeps, for the functions of a stack whose endpoint may be paused."""

from __future__ import annotations

from datetime import datetime

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import contract

from .aws_errors import is_missing_parameter
from .patience import PATIENT

__all__ = ["clear_stale_record", "put_record", "sleeping_config"]


def sleeping_config(parameter: str, *, patience: Config = PATIENT) -> str | None:
    """Return the name of the configuration that sleeps where there is no endpoint, or None where none does.

    Args:
        parameter: name of the SSM parameter, which a stack may not have yet or any more; empty where its endpoint is
            never paused.
        patience: how long the call may take.
    """
    if not parameter:
        return None
    ssm = boto3.client("ssm", config=patience)
    try:
        return contract.sleeping_config(ssm.get_parameter(Name=parameter)["Parameter"]["Value"])
    except ClientError as error:
        if is_missing_parameter(error):
            return None
        raise


def put_record(parameter: str, config: str | None) -> None:
    """Record which configuration sleeps, or that none does."""
    ssm = boto3.client("ssm", config=PATIENT)
    ssm.put_parameter(Name=parameter, Value=config or contract.NOTHING_SLEEPS, Overwrite=True)


def clear_stale_record(parameter: str, *, since: datetime) -> None:
    """Record that nothing sleeps, where the record is older than `since`, when the endpoint came into service.

    A younger one is left alone: another invocation may be about to delete the endpoint.
    """
    ssm = boto3.client("ssm", config=PATIENT)
    found = ssm.get_parameter(Name=parameter)["Parameter"]
    if contract.sleeping_config(found["Value"]) is not None and found["LastModifiedDate"] < since:
        put_record(parameter, None)
