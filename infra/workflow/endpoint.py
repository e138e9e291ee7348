"""The state that looks at the endpoint, which the release and the rollback share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from infra.workflow.payloads import RunParts
from infra.workflow.task import RunScope, sagemaker_task

__all__ = ["POLL", "describe_endpoint", "is_busy"]

POLL: Final = sfn.WaitTime.duration(cdk.Duration.seconds(10))

_BUSY: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def describe_endpoint(
    scope: RunScope,
    parts: RunParts,
    name: str,
    *,
    result_path: str,
    result_selector: Mapping[str, str] | None = None,
    retry: bool = True,
) -> sfn.CustomState:
    """Return a state that describes the endpoint; `retry` is for endpoints that exist, see `sagemaker_task`."""
    return sagemaker_task(
        scope,
        name,
        call="describeEndpoint",
        payload={"EndpointName": parts.names.endpoint},
        result_path=result_path,
        result_selector=result_selector,
        retry=retry,
    )


def is_busy(status_path: str) -> sfn.Condition:
    """Return the condition that the endpoint status at this JSONPath is one that passes by itself."""
    return sfn.Condition.or_(*(sfn.Condition.string_equals(status_path, status) for status in _BUSY))
