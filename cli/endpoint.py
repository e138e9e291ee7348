"""The endpoint of a stack, and the model that sleeps while there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

import contract
from cli import CliError
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["SleepingModel", "describe_endpoint", "poll_seconds", "refuse_to_forget", "sleeping_model"]

_POLL_SECONDS: Final = 1.0
_POLL_SECONDS_ON_AWS: Final = 10.0


@dataclass(frozen=True)
class SleepingModel:
    """A model whose endpoint was deleted because nobody asked."""

    config: str
    """Name of the endpoint configuration that brings it back."""
    since: datetime


def describe_endpoint(target: Target) -> dict[str, Any] | None:
    """Return DescribeEndpoint's answer, or None where there is no endpoint."""
    return _describe(target, target.output(StackOutput.ENDPOINT_NAME))


def sleeping_model(target: Target) -> SleepingModel | None:
    """Return the model that the stack's record names, which counts while `contract.has_model` is false; or None."""
    name = target.outputs.get(StackOutput.SLEEP_RECORD)
    return None if name is None else _read(target, name)


def poll_seconds(target: Target) -> float:
    """Return the time between two looks at an endpoint that is changing."""
    return _POLL_SECONDS if target.cloud is not None else _POLL_SECONDS_ON_AWS


def refuse_to_forget(target: Target) -> None:
    """Refuse settings whose deployment deletes the record of a model that sleeps.

    Raises:
        CliError: a model sleeps, and the settings have no serving.pause_after_hours.
    """
    # not by `target.outputs`, which would keep those of before the deployment
    outputs = target.read_outputs() or {}
    record = outputs.get(StackOutput.SLEEP_RECORD)
    if record is None or target.settings.serving.pause_after_hours is not None:
        return
    described = _describe(target, outputs[StackOutput.ENDPOINT_NAME])
    status = described["EndpointStatus"] if described else None
    if not contract.has_model(status) and _read(target, record) is not None:
        raise CliError(
            "a model sleeps, and a deployment without serving.pause_after_hours would forget which: wake it with "
            "`whippet wake` before, or keep the setting"
        )


def _describe(target: Target, name: str) -> dict[str, Any] | None:
    try:
        described: dict[str, Any] = target.client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        if "Could not find" in str(error):
            return None
        raise
    return described


def _read(target: Target, record: str) -> SleepingModel | None:
    found = target.client("ssm").get_parameter(Name=record)["Parameter"]
    config = contract.sleeping_config(found["Value"])
    return None if config is None else SleepingModel(config, found["LastModifiedDate"])
