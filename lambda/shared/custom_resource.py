"""Answering CloudFormation from a custom resource's Lambda function, whatever happens."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["Deadline", "OutOfTime", "respond"]

logger = Logger(child=True)

_RESERVED_SECONDS = 20.0
"""Kept back of the function's time to send the answer in."""
_MAX_REASON = 900
"""CloudFormation takes 4,096 bytes in all."""


class OutOfTime(Exception):
    """The function's time is nearly over; the message says what was not finished."""


class Deadline:
    """How much of the function's time is left for work."""

    def __init__(self, context: LambdaContext) -> None:
        self._context = context

    def check(self, doing: str) -> None:
        """Raise OutOfTime when there is just enough left to answer CloudFormation."""
        if self._context.get_remaining_time_in_millis() / 1000 < _RESERVED_SECONDS:
            raise OutOfTime(
                f"ran out of time while {doing}; try the same operation again, it continues where it stopped"
            )


def respond(
    event: Mapping[str, Any],
    context: LambdaContext,
    *,
    physical_id: str,
    work: Callable[[Deadline], Mapping[str, str]],
) -> None:
    """Do the work and tell CloudFormation how it went: without an answer it waits for an hour.

    Every exception becomes a FAILED answer with its message, and is logged with its traceback.
    """
    status, reason, data = "SUCCESS", "", {}
    try:
        data = dict(work(Deadline(context)))
    except Exception as error:
        logger.exception("custom resource failed")
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
    body = {
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
