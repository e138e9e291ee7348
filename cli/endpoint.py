"""The endpoint of a stack, and the model that sleeps while there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

import contract
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["SleepingModel", "describe_endpoint", "sleeping_model"]


@dataclass(frozen=True)
class SleepingModel:
    """A model whose endpoint was deleted because nobody asked."""

    config: str
    """Name of the endpoint configuration that brings it back."""
    since: datetime


def describe_endpoint(target: Target) -> dict[str, Any] | None:
    """Return DescribeEndpoint's answer, or None where there is no endpoint."""
    name = target.output(StackOutput.ENDPOINT_NAME)
    try:
        described: dict[str, Any] = target.client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        if "Could not find" in str(error):
            return None
        raise
    return described


def sleeping_model(target: Target) -> SleepingModel | None:
    """Return the model that the stack's record names, which counts while `contract.has_model` is false; or None."""
    name = target.outputs.get(StackOutput.SLEEP_RECORD)
    if name is None:
        return None
    found = target.client("ssm").get_parameter(Name=name)["Parameter"]
    config = contract.sleeping_config(found["Value"])
    return None if config is None else SleepingModel(config, found["LastModifiedDate"])
