"""Answers to CloudFormation from the Lambda function of a custom resource."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Literal, NotRequired, TypedDict

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["CustomResourceEvent", "Deadline", "OutOfTime", "respond"]

logger = Logger(child=True)

_RESERVED_SECONDS = 20.0
"""Time of the function that is kept for sending the answer."""

_MAX_REASON = 900
"""Longest reason. CloudFormation takes an answer of 4,096 bytes ("Custom resource response objects")."""


class CustomResourceEvent(TypedDict):
    """CloudFormation's request ("Custom resource request objects")."""

    RequestType: Literal["Create", "Update", "Delete"]
    ResponseURL: str
    StackId: str
    RequestId: str
    LogicalResourceId: str
    PhysicalResourceId: NotRequired[str]
    ResourceProperties: dict[str, str]


class OutOfTime(Exception):
    """The function's time is nearly over; the message says what was not finished."""


class Deadline:
    """The time that the function has left for work."""

    def __init__(self, context: LambdaContext) -> None:
        self._context = context

    def check(self, doing: str) -> None:
        """Raise OutOfTime when there is only enough time left to answer CloudFormation."""
        if self._context.get_remaining_time_in_millis() / 1000 < _RESERVED_SECONDS:
            raise OutOfTime(
                f"ran out of time while {doing}; repeat the deployment or deletion, and it continues where it stopped"
            )


def respond(
    event: CustomResourceEvent,
    context: LambdaContext,
    *,
    physical_id: str,
    work: Callable[[Deadline], Mapping[str, str]],
) -> None:
    """Do the work and tell CloudFormation how it went, since without an answer the deployment waits for an hour.

    Every exception becomes a FAILED answer with its message, and is logged with its traceback.
    """
    status, reason, data = "SUCCESS", "", {}
    try:
        data = dict(work(Deadline(context)))
    except Exception as error:
        logger.exception("custom resource failed")
        status, reason = "FAILED", f"{type(error).__name__}: {error}"

    # CloudFormation deletes the old resource when the physical id changes, so an existing one is kept.
    body: dict[str, Any] = {
        "Status": status,
        "Reason": f"{reason[:_MAX_REASON]} (log: {context.log_group_name} {context.log_stream_name})",
        "PhysicalResourceId": event.get("PhysicalResourceId", physical_id),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": data,
    }
    logger.info("answering CloudFormation", extra={"status": status, "reason": reason})
    request = urllib.request.Request(  # noqa: S310 - the URL is CloudFormation's own, presigned
        event["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        response.read()
